import { lstatSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import type { JobKey } from "../gitlab/job-key.ts";
import { lifeOf } from "../gitlab/job-life.ts";
import { failureText, type PodmanClient, succeeded } from "../podman/client.ts";
import { isLeased } from "../workspace/builds-lease.ts";
import { type DirectoryRules, isThere, removeTree } from "../workspace/directories.ts";
import { runnerDirectories, setAside, unusedBuilds } from "../workspace/static-builds.ts";

const secondsOfDay = 86_400;
/** To give a directory another name takes no longer. */
const removalSeconds = 60;

/** A builds directory of `static_builds_dir` that no job has used for `static_dir_retention` days. */
export interface UnusedBuilds {
  readonly path: string;
  readonly unusedDays: number;
}

/**
 * The builds directories below the user's base directory that are past `static_dir_retention`, and what is left of earlier removals.
 * What lies in a directory that a job has chosen (`CUSTOM_CI_BUILDS_DIR`) is not known here; the jobs there remove it.
 */
export function findUnusedBuilds({ general }: Config, base: string, nowSeconds: number): UnusedBuilds[] {
  const days = general.static_dir_retention;
  if (!general.static_builds_dir || days === 0) return [];
  const asking = lifeOf(process.pid, removalSeconds);
  return unusedBuilds(runnerDirectories(`${base}/builds`), nowSeconds - days * secondsOfDay)
    .filter((path) => !isLeased(path, asking, nowSeconds))
    .map((path) => {
      const usedSeconds = (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) / 1000;
      return { path, unusedDays: Math.floor((nowSeconds - usedSeconds) / secondsOfDay) };
    });
}

/** Where a builds directory lies, and who may remove what in it. */
export interface BuildsOwner {
  readonly config: Config;
  readonly base: string;
  readonly rules: DirectoryRules;
  /** The name of what is being removed has it, so it must be nobody else's. */
  readonly jobKey: JobKey;
  readonly nowSeconds: number;
  /** For files of a container's other users, which only Podman can remove. */
  readonly podman: () => Promise<PodmanClient | undefined>;
}

/** Removes it; false when a job has taken it meanwhile. Throws `directory_failed`. */
export async function removeUnusedBuilds({ path }: UnusedBuilds, owner: BuildsOwner): Promise<boolean> {
  const { config, base, rules, jobKey, nowSeconds } = owner;
  if (!isThere(base, path, rules)) return false;
  const before = nowSeconds - config.general.static_dir_retention * secondsOfDay;
  const aside = setAside(path, before, { jobKey, jobId: "", life: lifeOf(process.pid, removalSeconds) }, nowSeconds);
  if (aside === undefined) return false;
  if (removeTree(aside) === undefined) return true;
  const podman = config.general.run_mechanism === "podman" ? await owner.podman() : undefined;
  const removed = await podman?.ask(["unshare", "rm", "-rf", "--", aside], { timeoutSeconds: 600 });
  if (removed !== undefined && succeeded(removed.ending)) return true;
  const left = removeTree(aside);
  if (left === undefined) return true;
  const why = removed === undefined ? left.message : failureText(removed);
  throw new JacamarError("directory_failed", `Cannot remove "${aside}": ${why}`, {
    hint: `Remove it by hand: podman unshare rm -rf ${aside}`,
  });
}
