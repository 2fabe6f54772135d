import { closeSync, constants, openSync, writeSync } from "node:fs";
import { writeNew } from "../../workspace/script-files.ts";

/**
 * Whether a job is to run when the scheduler starts it: it is (`yes`), or waits a little for a word (`perhaps`). Without the file it is
 * not. The job file reads it as it begins.
 */
export type Wanted = "yes" | "perhaps";

/** Makes the file, before the job is submitted. Throws `disk_full` or `directory_failed`. */
export function makeWanted(path: string): void {
  writeNew(path, "yes\n", 0o600);
}

/**
 * Writes another word into the same file, since a node of a shared file system that has the file sees at once what is new in it, but not
 * a file that takes its place. Nothing happens where it is gone.
 */
export function setWanted(path: string, wanted: Wanted): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return;
  }
  try {
    writeSync(descriptor, `${wanted}\n`);
  } finally {
    closeSync(descriptor);
  }
}
