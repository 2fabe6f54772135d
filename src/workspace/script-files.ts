import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { systemErrorCode } from "../error/error.ts";
import { directoryFailed, removeTree } from "./directories.ts";

/** Where the shell that ran the script at `path` leaves its exit status. */
export function statusFileOf(path: string): string {
  return `${path}.status`;
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
  let descriptor: number;
  try {
    descriptor = openSync(statusFileOf(scriptPath), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const file = fstatSync(descriptor);
    if (!file.isFile() || file.size > 8) return undefined;
    if (file.size === 0) return "unwritten";
    const bytes = Buffer.alloc(8);
    const length = readSync(descriptor, bytes, 0, bytes.length, 0);
    const text = bytes.toString("latin1", 0, length);
    return /^(?:[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\n$/.test(text) ? Number(text) : undefined;
  } finally {
    closeSync(descriptor);
  }
}
