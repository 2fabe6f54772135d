import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Account } from "../account/account.ts";
import { loadConfiguration } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import type { Job } from "../gitlab/job.ts";
import { newJobLife } from "../gitlab/job-life.ts";
import { type JobKey, toJobKey } from "../gitlab/job-key.ts";
import type { UserVariables } from "../gitlab/variables.ts";
import { writeWhole } from "../log/output.ts";
import { version } from "../version.ts";
import { layOut, type Workspace } from "../workspace/layout.ts";
import type { StageContext } from "./context.ts";
import { recordConfig } from "./record-config.ts";
import { requireJob } from "./runner-files.ts";
import { type Identity, packState } from "./state.ts";

/**
 * The config stage without authorisation: checks the configuration, decides where the job's files are, and answers the
 * runner on standard output. It makes nothing.
 */
export async function runConfig(context: StageContext, configurationFile: string): Promise<void> {
  const config = await loadConfiguration(configurationFile);
  const job = requireJob(context.files);
  const { variables, account, measure } = context;
  const whose = { config, job, variables, measure, home: account.home };
  await recordConfig(whose, async () => {
    const workspace = workspaceOf({ config, job, variables, account });
    answerRunner(config, job, workspace, undefined);
    return { account: account.name, base: workspace.base };
  });
}

/** Whose job it is, and where they want its files. */
export interface WorkspaceInput {
  readonly config: Config;
  readonly job: Job;
  readonly variables: UserVariables;
  readonly account: Pick<Account, "name" | "home">;
  /** What RunAs answered; it outranks the configuration. */
  readonly dataDir?: string | undefined;
}

/** Decides where the job's files are. Throws `runner_contract` or `builds_dir_invalid`. */
export function workspaceOf({ config, job, variables, account, dataDir }: WorkspaceInput): Workspace {
  return layOut({
    account,
    dataDir: dataDir ?? config.general.data_dir,
    runnerShortToken: variables.get("CI_RUNNER_SHORT_TOKEN"),
    concurrentId: variables.get("CI_CONCURRENT_ID"),
    projectSlug: job.projectSlug,
    jobId: job.id,
    customBuildsDir: config.general.custom_build_dir ? variables.get("CUSTOM_CI_BUILDS_DIR") : undefined,
    staticBuilds: config.general.static_builds_dir
      ? { projectId: job.projectId, concurrentProjectId: variables.get("CI_CONCURRENT_PROJECT_ID") }
      : undefined,
  });
}

/** The key of a job, by which all that is made for it is found again. */
export function jobKeyOf(job: Job): JobKey {
  return toJobKey(job.id, createHash("sha256").update(job.token).digest("hex"));
}

function beginsInContainer({ general }: Config, job: Job): boolean {
  const { run_mechanism: mechanism, force_mechanism: forced, podman } = general;
  const inContainers = mechanism === "podman" && (forced || job.image !== undefined);
  return inContainers && podman.runner_image !== undefined && !podman.step_script_only;
}

/** Answers the runner on standard output (facts/gitlab-runner.md, 1.3). Throws `config_invalid` when the state is too long. */
export function answerRunner(config: Config, job: Job, workspace: Workspace, identity: Identity | undefined): void {
  // Nobody asks the settings of authorisation again, and what is in them is none of the user's business.
  const settings = { ...config, auth: undefined };
  const answer = {
    builds_dir: workspace.buildsDir,
    cache_dir: workspace.cacheDir,
    // The directories are told apart by runner and slot, or by runner, project and count, already.
    builds_dir_is_shared: false,
    shell: "bash",
    // "Running on CONTAINER via MACHINE": in a container the runner's own script finds out a name that says nothing.
    ...(beginsInContainer(config, job) ? { hostname: hostname() } : {}),
    driver: { name: "Jacamar CI", version },
    job_env: packState({
      config: settings,
      workspace,
      jobKey: jobKeyOf(job),
      identity,
      life: newJobLife(job.timeoutSeconds),
      startedAt: Math.round(performance.timeOrigin),
    }),
  };
  writeWhole(1, Buffer.from(`${JSON.stringify(answer)}\n`));
}
