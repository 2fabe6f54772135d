import { dirname } from "node:path";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import { lifeOf, newJobLife } from "../gitlab/job-life.ts";
import { pause } from "../process/signals.ts";
import { type BuildsLease, hasLease, releaseLease, takeLease } from "../workspace/builds-lease.ts";
import { makeDirectory } from "../workspace/directories.ts";
import { noteUse, runnerDirectories, setAside, unusedBuilds } from "../workspace/static-builds.ts";
import type { StageContext } from "./context.ts";
import { directoryRules } from "./job-files.ts";
import type { JobState } from "./state.ts";

/** To give a directory another name takes no longer. */
const removalSeconds = 60;
/** A cleanup holds the directory for some milliseconds while it looks whether it is in use. */
const patienceMilliseconds = 3000;
/** No further directory is begun to be removed after this time: the runner waits. */
const longestRemovalMilliseconds = 120_000;
const secondsOfDay = 86_400;

/**
 * Makes the project's builds directory and takes its lease for the job. Throws `builds_dir_busy`, and as `makeDirectory`.
 */
export async function claimStaticBuilds(context: StageContext, state: JobState, job: Job): Promise<void> {
  const { buildsBase, buildsDir } = state.workspace;
  const rules = directoryRules(state.config, context.account);
  makeDirectory(buildsBase, dirname(buildsDir), rules);
  const deadline = performance.now() + patienceMilliseconds;
  let other = takeLease(buildsDir, leaseOf(state, job), now());
  while (other !== undefined && performance.now() < deadline && !context.stop.aborted) {
    await pause(100, context.stop);
    other = takeLease(buildsDir, leaseOf(state, job), now());
  }
  if (other !== undefined) throw busy(buildsDir, other);
  makeDirectory(buildsBase, buildsDir, rules);
  noteUse(buildsDir, now());
}

/** Whether what is in the builds directory is this job's to clean: without the lease another job is at work there. */
export function ownsBuilds({ config, workspace, jobKey }: JobState): boolean {
  return !config.general.static_builds_dir || hasLease(workspace.buildsDir, jobKey);
}

/**
 * Gives the builds directory back, and removes those that no job has used for `static_dir_retention` days. Returns how
 * many were removed. Throws `directory_failed`, and what `removeTree` throws, after all has been tried.
 *
 * @param removeTree removes a directory of the user's with all that is in it.
 */
export async function leaveStaticBuilds(
  { config, workspace, jobKey }: JobState,
  removeTree: (path: string) => Promise<void>,
): Promise<number> {
  const { buildsBase, buildsDir, base } = workspace;
  if (hasLease(buildsDir, jobKey)) noteUse(buildsDir, now());
  releaseLease(buildsDir, jobKey);
  const { static_dir_retention: days } = config.general;
  if (days === 0) return 0;
  const before = now() - days * secondsOfDay;
  // In a directory of the user's choice only what this runner has made is ours.
  const parents = buildsBase === base ? runnerDirectories(`${base}/builds`) : [dirname(buildsDir)];
  const deadline = performance.now() + longestRemovalMilliseconds;
  const failures: unknown[] = [];
  let removed = 0;
  for (const path of unusedBuilds(parents, before)) {
    if (performance.now() > deadline) break;
    try {
      const lease = { jobKey, jobId: "", life: lifeOf(process.pid, removalSeconds) };
      const aside = setAside(path, before, lease, now());
      if (aside === undefined) continue;
      await removeTree(aside);
      removed += 1;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return removed;
}

function leaseOf({ jobKey, life }: JobState, job: Job): BuildsLease {
  return { jobKey, jobId: job.id, life: life ?? newJobLife(job.timeoutSeconds) };
}

function busy(buildsDir: string, other: BuildsLease | "unknown"): JacamarError {
  const who = other === "unknown" ? "another job" : `the job ${other.jobId}`;
  return new JacamarError(
    "builds_dir_busy",
    `The builds directory "${buildsDir}" is in use by ${who} of another runner`,
    {
      hint: "Retry when that job has ended. Administrators: runners that share data_dir and use static_builds_dir need a registration each, so that their tokens differ.",
    },
  );
}

function now(): number {
  return Date.now() / 1000;
}
