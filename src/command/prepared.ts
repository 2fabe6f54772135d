import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync } from "node:fs";
import * as v from "valibot";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import type { Workspace } from "../workspace/layout.ts";
import { directoryFailed } from "../workspace/directories.ts";
import { writeNew } from "../workspace/script-files.ts";

const imageSchema = v.object({
  id: v.string(),
  /** The archive with its transport, as `podman run` takes it; absent when containers start from the store. */
  archive: v.optional(v.string()),
  hasBash: v.boolean(),
  /** The user that the image names for its containers; empty for root. */
  user: v.string(),
});

const preparedSchema = v.object({
  /** The environment of a clean login of the user, in which Podman runs. */
  environment: v.record(v.string(), v.string()),
  runtimeDirectory: v.string(),
  userImage: v.optional(imageSchema),
  runnerImage: v.optional(imageSchema),
});

/**
 * What prepare has found out for the stages after it. It lies in the job's private directory, which no container of the
 * job sees: a script in a container can not exchange the image of the next stage.
 */
export type Prepared = v.InferOutput<typeof preparedSchema>;
export type PreparedImage = v.InferOutput<typeof imageSchema>;

const limitBytes = 8 * 1024 * 1024;

/**
 * Leaves it for the later stages, whole or not at all: cleanup must do its work also when the disk was full, or prepare was killed.
 * Throws `disk_full` or `directory_failed`.
 */
export function writePrepared(workspace: Workspace, prepared: Prepared): void {
  const file = preparedFile(workspace);
  const temporary = `${file}.new`;
  writeNew(temporary, JSON.stringify(prepared), 0o600);
  try {
    renameSync(temporary, file);
  } catch (cause) {
    throw directoryFailed(file, systemErrorCode(cause), cause);
  }
}

/** Reads what prepare left; undefined when it left nothing. Throws `state_missing` when it cannot be understood. */
export function readPrepared(workspace: Workspace): Prepared | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(preparedFile(workspace), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return undefined;
    throw damaged(workspace, cause);
  }
  try {
    const status = fstatSync(descriptor);
    // What it says is run as the user: nobody else may have put it there.
    const isOurs = status.isFile() && status.uid === process.geteuid?.();
    if (!isOurs || status.size > limitBytes) throw damaged(workspace);
    const parsed = v.safeParse(preparedSchema, JSON.parse(readFileSync(descriptor, "utf8")));
    if (!parsed.success) throw damaged(workspace);
    return parsed.output;
  } catch (cause) {
    if (cause instanceof JacamarError) throw cause;
    throw damaged(workspace, cause);
  } finally {
    closeSync(descriptor);
  }
}

function preparedFile(workspace: Workspace): string {
  return `${workspace.privateDir}/prepared.json`;
}

function damaged(workspace: Workspace, cause?: unknown): JacamarError {
  return new JacamarError(
    "state_missing",
    `The file "${preparedFile(workspace)}" of the prepare stage cannot be read`,
    { cause },
  );
}
