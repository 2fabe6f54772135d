import type { JobDefinition } from "./job-definition.ts";
import type { Sources } from "./sources.ts";
import { expandAll, expandAmongThemselves, type Variable, valueOf, variable } from "./variables.ts";

/** A server that does not exist: nothing here may reach a real one. */
const serverHost = "gitlab.invalid";
const serverUrl = `https://${serverHost}`;

/** What stays the same for all jobs of one run. */
export interface PipelineFacts {
  readonly pipelineId: number;
  readonly projectId: number;
  /** `group/project`. */
  readonly projectPath: string;
  readonly configPath: string;
  readonly sources: Sources | undefined;
  /** Who started the pipeline, with GitLab's number of the account. */
  readonly user: { readonly login: string; readonly name: string; readonly email: string; readonly id: number };
  readonly runner: { readonly shortToken: string; readonly description: string; readonly version: string };
  readonly globalVariables: readonly Variable[];
  /** Variables of the command line: they outrank those of the pipeline file, as those of a manual pipeline do. */
  readonly givenVariables: readonly Variable[];
  readonly startedAt: Date;
}

/** What is known of one job. */
export interface JobFacts {
  readonly pipeline: PipelineFacts;
  readonly job: JobDefinition;
  readonly jobId: number;
  readonly token: string;
  readonly timeoutSeconds: number;
  readonly concurrentId: number;
  /** The masked variables with the job's ID tokens. */
  readonly idTokens: readonly Variable[];
}

/** The directories, which are known only after the config stage. */
export interface Directories {
  readonly buildsDir: string;
  readonly projectDir: string;
}

/**
 * The variables that GitLab's server sends with a job: the predefined ones, ID tokens, then those of the pipeline file, of
 * the job and of the command line, later ones winning, expanded among themselves.
 */
export function serverVariables(facts: JobFacts): Variable[] {
  const { job, pipeline } = facts;
  const inherited = pipeline.globalVariables.filter((one) =>
    typeof job.inheritVariables === "boolean" ? job.inheritVariables : job.inheritVariables.includes(one.key),
  );
  const predefined = predefinedVariables(facts);
  const given = pipeline.givenVariables;
  const registry = valueOf(given, "CI_REGISTRY");
  if (registry !== "") {
    predefined.push(
      variable("CI_REGISTRY_USER", "gitlab-ci-token"),
      variable("CI_REGISTRY_PASSWORD", facts.token, { public: false, masked: true }),
      variable("CI_REGISTRY_IMAGE", `${registry}/${pipeline.projectPath.toLowerCase()}`),
    );
  }
  // One of each name: the last, where the first stood.
  const all = new Map(
    [...predefined, ...facts.idTokens, ...inherited, ...job.variables, ...given].map((one) => [one.key, one]),
  );
  return expandAmongThemselves([...all.values()]);
}

/**
 * All variables in the runner's order, which says what outranks what (facts/gitlab-runner.md, 1.4): the runner's own
 * before the job's, then the job's, then a few that no job can change. Expanded. Before the config stage the directories
 * are empty.
 */
export function runnerVariables(
  facts: JobFacts,
  server: readonly Variable[],
  imageName: string,
  jobStatus: string,
  directories: Directories | undefined,
): Variable[] {
  const projectDir = directories?.projectDir ?? "";
  const temporaryDir = `${projectDir}.tmp`;
  const variables = [
    ...(imageName === "" ? [] : [variable("CI_JOB_IMAGE", imageName)]),
    variable("CI_RUNNER_SHORT_TOKEN", facts.pipeline.runner.shortToken),
    variable("CI_BUILDS_DIR", directories?.buildsDir ?? ""),
    variable("CI_PROJECT_DIR", projectDir),
    variable("CI_CONCURRENT_ID", String(facts.concurrentId)),
    variable("CI_CONCURRENT_PROJECT_ID", String(facts.concurrentId)),
    variable("CI_SERVER", "yes"),
    variable("CI_JOB_STATUS", jobStatus),
    variable("CI_JOB_TIMEOUT", String(facts.timeoutSeconds)),
    ...server,
    variable("CI_SHARED_ENVIRONMENT", "true"),
    variable("CI_RUNNER_VERSION", facts.pipeline.runner.version),
    variable("CI_RUNNER_REVISION", "jacamar-try"),
    variable("CI_RUNNER_EXECUTABLE_ARCH", `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`),
    variable("RUNNER_TEMP_PROJECT_DIR", temporaryDir),
  ];
  return expandAll(variables, temporaryDir);
}

/** The URL of the repository, with the job's token as GitLab gives it. */
export function repositoryUrl(facts: JobFacts, options: { readonly withToken: boolean }): string {
  const user = options.withToken ? `gitlab-ci-token:${facts.token}@` : "";
  return `https://${user}${serverHost}/${facts.pipeline.projectPath}.git`;
}

function predefinedVariables(facts: JobFacts): Variable[] {
  const { job, pipeline } = facts;
  const { sources, projectPath, user } = pipeline;
  const projectName = projectPath.split("/").at(-1) ?? "";
  const namespace = projectPath.slice(0, -projectName.length - 1);
  const projectUrl = `${serverUrl}/${projectPath}`;
  const secret = { public: false, masked: true };
  const plain: Record<string, string> = {
    CI: "true",
    GITLAB_CI: "true",
    CI_PIPELINE_ID: String(pipeline.pipelineId),
    CI_PIPELINE_IID: "1",
    CI_PIPELINE_SOURCE: "push",
    CI_PIPELINE_URL: `${projectUrl}/-/pipelines/${pipeline.pipelineId}`,
    CI_PIPELINE_CREATED_AT: pipeline.startedAt.toISOString(),
    CI_JOB_ID: String(facts.jobId),
    CI_JOB_NAME: job.name,
    CI_JOB_NAME_SLUG: slug(job.name),
    CI_JOB_STAGE: job.stage,
    CI_JOB_URL: `${projectUrl}/-/jobs/${facts.jobId}`,
    CI_JOB_STARTED_AT: new Date().toISOString(),
    CI_NODE_TOTAL: "1",
    CI_PROJECT_ID: String(pipeline.projectId),
    CI_PROJECT_NAME: projectName,
    CI_PROJECT_TITLE: projectName,
    CI_PROJECT_NAMESPACE: namespace,
    CI_PROJECT_ROOT_NAMESPACE: namespace.split("/")[0] ?? "",
    CI_PROJECT_PATH: projectPath,
    CI_PROJECT_PATH_SLUG: slug(projectPath),
    CI_PROJECT_URL: projectUrl,
    CI_PROJECT_VISIBILITY: "private",
    CI_CONFIG_PATH: pipeline.configPath,
    CI_DEFAULT_BRANCH: "main",
    CI_SERVER_HOST: serverHost,
    CI_SERVER_URL: serverUrl,
    CI_SERVER_PROTOCOL: "https",
    CI_SERVER_PORT: "443",
    CI_SERVER_FQDN: serverHost,
    CI_SERVER_NAME: "GitLab",
    CI_API_V4_URL: `${serverUrl}/api/v4`,
    CI_RUNNER_ID: "1",
    CI_RUNNER_DESCRIPTION: pipeline.runner.description,
    CI_RUNNER_TAGS: "[]",
    GITLAB_USER_ID: String(user.id),
    GITLAB_USER_LOGIN: user.login,
    GITLAB_USER_NAME: user.name,
    GITLAB_USER_EMAIL: user.email,
    ...(sources === undefined ? {} : commitVariables(sources)),
  };
  return [
    ...Object.entries(plain).map(([key, value]) => variable(key, value, { raw: true })),
    variable("CI_JOB_TOKEN", facts.token, { ...secret, raw: true }),
    variable("CI_REPOSITORY_URL", repositoryUrl(facts, { withToken: true }), { public: false, raw: true }),
  ];
}

function commitVariables(sources: Sources): Record<string, string> {
  return {
    CI_COMMIT_SHA: sources.sha,
    CI_COMMIT_SHORT_SHA: sources.sha.slice(0, 8),
    CI_COMMIT_BEFORE_SHA: "0".repeat(sources.sha.length),
    CI_COMMIT_REF_NAME: sources.ref,
    CI_COMMIT_REF_SLUG: slug(sources.ref),
    CI_COMMIT_REF_PROTECTED: "false",
    ...(sources.isBranch ? { CI_COMMIT_BRANCH: sources.ref } : {}),
    CI_COMMIT_TITLE: sources.title,
    CI_COMMIT_MESSAGE: sources.message,
    CI_COMMIT_DESCRIPTION: sources.message.split("\n").slice(1).join("\n").trim(),
    CI_COMMIT_AUTHOR: sources.author,
    CI_COMMIT_TIMESTAMP: sources.timestamp,
  };
}

/** GitLab's slug: lower case, at most 63 characters, nothing but letters, digits and inner dashes. */
function slug(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "-")
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, "");
}
