import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from "node:fs";

/**
 * Reads a small regular file where the job itself can write: follows no link, waits for no pipe, and opens it anew each time, so
 * that a shared file system looks at its server. Undefined when there is none, it is larger, or it is not of this process's account:
 * the user may have opened a directory to others.
 */
export function readSmallFile(path: string, limitBytes: number): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const file = fstatSync(descriptor);
    const isOurs = file.isFile() && file.uid === process.geteuid?.();
    return isOurs && file.size <= limitBytes ? readFileSync(descriptor, "utf8") : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}

/** Reads the end of a regular file, as {@link readSmallFile} reads a whole one: no more than `limitBytes`, however large the job made it. */
export function readEndOfFile(path: string, limitBytes: number): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const file = fstatSync(descriptor);
    if (!file.isFile() || file.uid !== process.geteuid?.()) return undefined;
    const bytes = Buffer.alloc(Math.min(limitBytes, file.size));
    return bytes.toString("utf8", 0, readSync(descriptor, bytes, 0, bytes.length, file.size - bytes.length));
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}
