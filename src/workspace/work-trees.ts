import type { Wish } from "../gitlab/variables.ts";
import type { Workspace } from "./layout.ts";

/**
 * The work trees that a job may have, without `.` and `..` in their paths and below its builds directory: the project's own, and another one that
 * the user chose by `GIT_CLONE_PATH` or by `GIT_STRATEGY: empty`.
 *
 * @param temporary `RUNNER_TEMP_PROJECT_DIR`: the work tree's path and `.tmp`, where the runner keeps the job's file variables. The runner
 *   sets it after the job's own variables (`common/build.go`); a value that is none counts for nothing.
 */
export function workTrees(
  { buildsDir, projectDir }: Pick<Workspace, "buildsDir" | "projectDir">,
  temporary: Wish | undefined,
): string[] {
  const other = temporary?.text.endsWith(".tmp") ? temporary.text.slice(0, -".tmp".length) : "";
  const below = other.startsWith(`${buildsDir}/`) ? other.slice(buildsDir.length + 1) : "";
  const isPath =
    below.split("/").every((part) => part !== "" && part !== "." && part !== "..") && !below.includes("\0");
  return isPath && other !== projectDir ? [projectDir, other] : [projectDir];
}
