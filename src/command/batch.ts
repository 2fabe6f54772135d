import type { Account } from "../account/account.ts";
import type { Config } from "../config/schema.ts";
import type { JobKey } from "../gitlab/job-key.ts";
import { openPrograms, type ProgramsOptions } from "../executor/batch/programs.ts";
import type { CallScheduler, Scheduler } from "../executor/batch/scheduler.ts";
import { schedulers } from "../executor/batch/schedulers.ts";
import { cleanBash } from "./clean-bash.ts";
import type { Prepared } from "./prepared.ts";
import type { JobState } from "./state.ts";

/** The scheduler of a job, and how it is called. */
export interface OpenScheduler {
  readonly scheduler: Scheduler;
  readonly call: CallScheduler;
  readonly programs: ProgramsOptions;
}

/** The scheduler that the configuration names. Only for a configuration with one. */
export function schedulerOf(config: Config): Scheduler {
  const scheduler = schedulers[config.general.executor];
  if (scheduler === undefined) throw new Error(`the executor ${config.general.executor} has no scheduler`);
  return scheduler;
}

/** Opens the scheduler's programs as the user's login has them. Throws `shell_failed` without a Bash. */
export function openScheduler(
  state: JobState,
  account: Account,
  prepared: Pick<Prepared, "environment">,
): OpenScheduler {
  const { config, workspace } = state;
  const scheduler = schedulerOf(config);
  const programs = {
    beginning: cleanBash(state, account).beginning,
    login: prepared.environment,
    directory: config.batch.scheduler_bin,
    assignments: config.batch.env_vars,
    workingDirectory: workspace.base,
  };
  return { scheduler, programs, call: openPrograms(scheduler, programs) };
}

/** How the name of a file ends that says that a job is waited for (`JobFiles.wanted`). */
export const wantedEnding = ".wanted";

/** How the name of a file ends in which a job says what the scheduler calls it (`JobFiles.ownId`). */
export const ownIdEnding = ".job-id";

/** The name of all that the scheduler runs for a CI job. It is found again by it, whatever became of the driver. */
export function batchName(key: JobKey): string {
  return `jacamar-ci-${key}`;
}
