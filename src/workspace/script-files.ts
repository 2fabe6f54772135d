import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { systemErrorCode } from "../error/error.ts";
import { directoryFailed, removeTree } from "./directories.ts";

/** Where the shell that ran the script at `path` leaves its exit status. */
export function statusFileOf(path: string): string {
  return `${path}.status`;
}

/** Made by the shell around the script at `path` just before the script begins: its time is what counts. */
export function beganFileOf(path: string): string {
  return `${path}.began`;
}

/** Where a container's wrapper leaves the memory that its control group tells, see `containerWrapper`. */
export function memoryFileOf(path: string): string {
  return `${path}.memory`;
}

/** All that is left beside the script at `path` while it runs. */
export function tracesOf(path: string): string[] {
  return [statusFileOf(path), beganFileOf(path), memoryFileOf(path)];
}

/**
 * Writes a file anew. Whatever stands at the path is taken away first, a link too, never written through: containers of
 * the job can write to the scripts directory.
 * Throws `disk_full` or `directory_failed`.
 */
export function writeNew(path: string, content: string | Uint8Array, mode: number): void {
  remove(path);
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const descriptor = openSync(path, flags, mode);
    try {
      const bytes = typeof content === "string" ? Buffer.from(content) : content;
      let offset = 0;
      while (offset < bytes.length) offset += writeSync(descriptor, bytes, offset);
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    throw directoryFailed(path, systemErrorCode(cause), cause);
  }
}

/** Whether a regular file is there that belongs to the account. Follows no link. */
export function isOwnFile(path: string, uid: number): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && status.uid === uid;
}

/**
 * Takes away what an earlier run of the same stage left, also a directory: a container of the job can put one there.
 * Throws `directory_failed`.
 */
export function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT") return;
    const left = code === "EISDIR" ? removeTree(path) : error;
    if (left !== undefined) throw directoryFailed(path, systemErrorCode(left), left);
  }
}

/**
 * Reads the exit status that a shell left, 0 to 255; `unwritten` when the shell made the file, but could not write to it
 * (the disk is full); undefined when there is none. The job itself can write there, so anything else that is not a small
 * regular file with such a number counts as none, and nothing is waited for.
 */
export function readStatus(scriptPath: string): number | "unwritten" | undefined {
  const text = readSmall(statusFileOf(scriptPath), 8);
  if (text === undefined) return undefined;
  if (text === "") return "unwritten";
  return /^(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\n$/.test(text) ? Number(text) : undefined;
}

/** The memory that a container's control group told at the script's end; undefined when it told none. */
export function readMemory(
  scriptPath: string,
): { readonly peakMemoryBytes: number; readonly memoryLimitBytes?: number } | undefined {
  const [, peak, limit] =
    /^([0-9]{1,15}) ([0-9]{1,20}|max)\n$/.exec(readSmall(memoryFileOf(scriptPath), 64) ?? "") ?? [];
  if (peak === undefined) return undefined;
  // Control groups without a limit have a number that no machine has.
  const bounded = limit !== "max" && Number(limit) < 2 ** 50;
  return { peakMemoryBytes: Number(peak), ...(bounded ? { memoryLimitBytes: Number(limit) } : {}) };
}

/** The text of a regular file of at most `limitBytes`. The job can write there: anything else counts as none. Waits for nothing. */
export function readSmall(path: string, limitBytes: number): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const file = fstatSync(descriptor);
    if (!file.isFile() || file.size > limitBytes) return undefined;
    const bytes = Buffer.alloc(limitBytes);
    return bytes.toString("latin1", 0, readSync(descriptor, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(descriptor);
  }
}
