import { lstatSync, lutimesSync, readdirSync, renameSync, type Dirent } from "node:fs";
import { systemErrorCode } from "../error/error.ts";
import { type BuildsLease, releaseLease, takeLease } from "./builds-lease.ts";
import { directoryFailed } from "./directories.ts";

/** Directories of `static_builds_dir`, and those of them that are about to be removed. */
const staticName = /^project-[0-9]{1,16}(?:-[1-9][0-9]{0,8})?$/;
const asidePrefix = ".unused-";

/**
 * The name of a project's builds directory that does not depend on the job slot. The runner counts the jobs of a project that
 * run at once; all but the first have a directory with their number.
 */
export function staticBuildsName(projectId: number, concurrentProjectId: number): string {
  return `project-${projectId}${concurrentProjectId === 0 ? "" : `-${concurrentProjectId}`}`;
}

/** Notes that a job uses the directory now: the time at the directory itself is what {@link unusedBuilds} looks at. */
export function noteUse(buildsDir: string, nowSeconds: number): void {
  try {
    lutimesSync(buildsDir, nowSeconds, nowSeconds);
  } catch (cause) {
    // A job may have removed it.
    const code = systemErrorCode(cause);
    if (code !== "ENOENT") throw directoryFailed(buildsDir, code, cause);
  }
}

/**
 * Builds directories below `parents` that no job has used since then, and what was left of earlier removals. Whether a job uses
 * one just now is asked only when it is set aside. Follows no link; a parent that cannot be read has none.
 */
export function unusedBuilds(parents: readonly string[], beforeSeconds: number): string[] {
  return parents.flatMap((parent) =>
    entriesOf(parent)
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => ({ name, path: `${parent}/${name}` }))
      .filter(
        ({ name, path }) =>
          name.startsWith(asidePrefix) || (staticName.test(name) && usedAtSeconds(path) < beforeSeconds),
      )
      .map(({ path }) => path),
  );
}

/** The directories for each runner below a builds directory. */
export function runnerDirectories(builds: string): string[] {
  return entriesOf(builds)
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${builds}/${entry.name}`);
}

/**
 * Gives an unused builds directory another name, under which no job looks for it: to remove it may take minutes. Returns that
 * name, or undefined when a job uses it now, or has since then.
 *
 * @param lease held meanwhile, and not of the runner: that one's own jobs, too, must wait for these few steps.
 * Throws `directory_failed` or `disk_full`.
 */
export function setAside(
  path: string,
  beforeSeconds: number,
  lease: BuildsLease,
  nowSeconds: number,
): string | undefined {
  const parent = path.slice(0, path.lastIndexOf("/"));
  const name = path.slice(parent.length + 1);
  if (name.startsWith(asidePrefix)) return path;
  if (takeLease(path, lease, nowSeconds) !== undefined) return undefined;
  try {
    if (usedAtSeconds(path) >= beforeSeconds) return undefined;
    const aside = `${parent}/${asidePrefix}${name}-${lease.jobKey}`;
    renameSync(path, aside);
    return aside;
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === "ENOENT") return undefined;
    throw directoryFailed(path, code, cause);
  } finally {
    releaseLease(path, lease.jobKey);
  }
}

function usedAtSeconds(path: string): number {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status === undefined ? Number.POSITIVE_INFINITY : status.mtimeMs / 1000;
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
}
