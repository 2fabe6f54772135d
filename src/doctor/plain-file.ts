import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** Longer than any file of settings. */
export const longestBytes = 4 * 1024 * 1024;

/**
 * The text of a file of settings, of which many are users' own: a pipe is not waited for, and a device not read. Undefined for what
 * is not there, is no regular file, or is longer than {@link longestBytes}.
 */
export function readPlainFile(path: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
  try {
    const status = fstatSync(descriptor);
    return status.isFile() && status.size <= longestBytes ? readFileSync(descriptor, "utf8") : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}
