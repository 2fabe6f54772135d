import type { ImageDefinition } from "./image-definition.ts";
import { type JobFacts, repositoryUrl, runnerVariables } from "./job-variables.ts";
import { expandValue, type Variable, valueOf } from "./variables.ts";

/** An earlier job whose artifacts this one downloads. */
export interface Dependency {
  readonly id: number;
  readonly token: string;
  readonly name: string;
  readonly bytes: number;
}

export interface ResponseParts {
  readonly facts: JobFacts;
  readonly server: readonly Variable[];
  /** With its name expanded; undefined when the job has none. */
  readonly image: ImageDefinition | undefined;
  readonly services: readonly ImageDefinition[];
  readonly cacheKeys: readonly string[];
  readonly dependencies: readonly Dependency[];
  readonly depth: number;
  readonly allowGitFetch: boolean;
}

/** The job's image and services, with their names expanded: before the directories are known, with all other variables. */
export function namedImages(
  facts: JobFacts,
  server: readonly Variable[],
): { readonly image: ImageDefinition | undefined; readonly services: readonly ImageDefinition[] } {
  const { image, services } = facts.job;
  const known = runnerVariables(facts, server, image?.name ?? "", "running", undefined);
  const expand = (text: string) => expandValue(text, known, ".tmp");
  return {
    image: image === undefined ? undefined : { ...image, name: expand(image.name) },
    services: services.map((one) => ({
      ...one,
      name: expand(one.name),
      ...(one.alias === undefined ? {} : { alias: expand(one.alias) }),
    })),
  };
}

/**
 * The content of JOB_RESPONSE_FILE: one line of JSON in the shape of GitLab Runner's own struct, with `<`, `>` and `&`
 * escaped as Go does (facts/gitlab-runner.md, part 2).
 */
export function jobResponse(parts: ResponseParts): string {
  const { facts, server } = parts;
  const { job, pipeline } = facts;
  const { sources } = pipeline;
  const step = { timeout: facts.timeoutSeconds };
  const registry = valueOf(server, "CI_REGISTRY");
  const { artifacts } = job;
  const response = {
    id: facts.jobId,
    token: facts.token,
    allow_git_fetch: parts.allowGitFetch,
    job_info: {
      name: job.name,
      stage: job.stage,
      pipeline_id: pipeline.pipelineId,
      project_id: pipeline.projectId,
      project_name: pipeline.projectPath.split("/").at(-1) ?? "",
      project_full_path: pipeline.projectPath,
      namespace_id: 1,
      root_namespace_id: 1,
      organization_id: 1,
      instance_id: "",
      instance_uuid: "",
      user_id: pipeline.user.id,
      time_in_queue_seconds: 0,
      project_jobs_running_on_instance_runners_count: "0",
      queue_size: 0,
      queue_depth: 0,
    },
    git_info: {
      repo_url: repositoryUrl(facts, { withToken: true }),
      repo_object_format: sources?.objectFormat ?? "sha1",
      ref: sources?.ref ?? "main",
      sha: sources?.sha ?? "0".repeat(40),
      before_sha: "0".repeat(sources?.sha.length ?? 40),
      ref_type: "branch",
      refspecs: [`+refs/heads/${sources?.ref ?? "main"}:refs/remotes/origin/${sources?.ref ?? "main"}`],
      depth: parts.depth,
      protected: false,
    },
    runner_info: { uuid: "", timeout: facts.timeoutSeconds },
    inputs: {},
    variables: server.map(toVariable),
    steps: [
      { name: "script", script: job.script, ...step, when: "on_success", allow_failure: false },
      ...(job.afterScript.length === 0
        ? []
        : [{ name: "after_script", script: job.afterScript, ...step, when: "always", allow_failure: true }]),
    ],
    image: toImage(parts.image),
    services: parts.services.length === 0 ? null : parts.services.map(toImage),
    artifacts:
      artifacts === undefined
        ? null
        : [
            {
              name: artifacts.name,
              untracked: artifacts.untracked,
              paths: listOrNull(artifacts.paths),
              exclude: listOrNull(artifacts.exclude),
              when: artifacts.when,
              artifact_type: "archive",
              artifact_format: "zip",
              expire_in: artifacts.expireIn,
            },
          ],
    cache:
      job.caches.length === 0
        ? null
        : job.caches.map((cache, index) => ({
            key: parts.cacheKeys[index] ?? "",
            untracked: cache.untracked,
            policy: cache.policy,
            paths: listOrNull(cache.paths),
            when: cache.when,
            fallback_keys: cache.fallbackKeys,
          })),
    credentials:
      registry === ""
        ? null
        : [{ type: "registry", url: registry, username: "gitlab-ci-token", password: facts.token }],
    dependencies: parts.dependencies.map(({ id, token, name, bytes }) => ({
      id,
      token,
      name,
      artifacts_file: bytes === 0 ? { filename: "", size: 0 } : { filename: "artifacts.zip", size: bytes },
    })),
    features: {
      trace_sections: false,
      token_mask_prefixes: null,
      failure_reasons: [
        "unknown_failure",
        "script_failure",
        "runner_system_failure",
        "job_execution_timeout",
        "job_canceled",
      ],
      tracing: null,
    },
    ...(job.preGetSources.length === 0
      ? {}
      : { hooks: [{ name: "pre_get_sources_script", script: job.preGetSources }] }),
    policy_options: { execution_policy_job: false, policy_name: "" },
    suspend_options: {},
  };
  return `${goJson(response)}\n`;
}

/**
 * The value of CUSTOM_ENV_CI_JOB_SERVICES: "" without services, else the JSON that the runner writes. `expand` expands
 * a service's own variables.
 */
export function jobServices(
  services: readonly ImageDefinition[],
  expand: (own: readonly Variable[], value: string) => string,
): string {
  if (services.length === 0) return "";
  return goJson(
    services.map((service) => ({
      name: service.name,
      alias: service.alias?.split(/[\s,]+/).find((one) => one !== "") ?? "",
      entrypoint: service.entrypoint ?? null,
      command: service.command ?? null,
      ...(service.variables === undefined || service.variables.length === 0
        ? {}
        : {
            variables: Object.fromEntries(
              service.variables.map((one) => [
                one.key,
                one.raw ? one.value : expand(service.variables ?? [], one.value),
              ]),
            ),
          }),
    })),
  );
}

function toVariable(one: Variable) {
  return { key: one.key, value: one.value, public: one.public, file: one.file, masked: one.masked, raw: one.raw };
}

function toImage(image: ImageDefinition | undefined) {
  return {
    name: image?.name ?? "",
    ...(image?.alias === undefined ? {} : { alias: image.alias }),
    ...omitEmpty("command", image?.command),
    ...omitEmpty("entrypoint", image?.entrypoint),
    ...omitEmpty("variables", image?.variables?.map(toVariable)),
    ...omitEmpty("pull_policy", image?.pullPolicy),
    executor_opts: {
      docker: { platform: image?.platform ?? "", user: image?.user ?? "" },
      kubernetes: { user: image?.kubernetesUser ?? "" },
    },
  };
}

function omitEmpty<K extends string, V>(key: K, list: readonly V[] | undefined): Partial<Record<K, readonly V[]>> {
  const result: Partial<Record<K, readonly V[]>> = {};
  if (list !== undefined && list.length > 0) result[key] = list;
  return result;
}

function listOrNull<T>(list: readonly T[]): readonly T[] | null {
  return list.length === 0 ? null : list;
}

function goJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
