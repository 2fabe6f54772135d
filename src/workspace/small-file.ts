import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

/**
 * Reads a small regular file where the job itself can write: follows no link, waits for no pipe, and opens it anew each time, so
 * that a shared file system looks at its server. Undefined when there is none, it is larger, or it is not of this process's account:
 * the user may have opened a directory to others. What is added while it is read is left out.
 */
export function readSmallFile(path: string, limitBytes: number): string | undefined {
  return readOwnFile(path, (bytes) => (bytes <= limitBytes ? bytes : undefined));
}

/** Reads the end of a regular file, as {@link readSmallFile} reads a whole one: no more than `limitBytes`, however large the job made it. */
export function readEndOfFile(path: string, limitBytes: number): string | undefined {
  return readOwnFile(path, (bytes) => Math.min(limitBytes, bytes));
}

/** Reads as many bytes at the end of the file as its size calls for. */
function readOwnFile(path: string, wanted: (sizeBytes: number) => number | undefined): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const file = fstatSync(descriptor);
    const length = file.isFile() && file.uid === process.geteuid?.() ? wanted(file.size) : undefined;
    if (length === undefined) return undefined;
    const bytes = Buffer.alloc(length);
    return bytes.toString("utf8", 0, readSync(descriptor, bytes, 0, length, file.size - length));
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}
