import { closeSync, constants, openSync } from "node:fs";

/**
 * Lets a shared file system look at its server for what is new in a directory. That a file is not there is remembered by a client of NFS for
 * as long as it believes what it knows of the directory (acdirmin, half a minute); only opening the directory itself makes it ask.
 */
export function lookAnew(directory: string): void {
  try {
    closeSync(openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW));
  } catch {
    // Whoever looks for a file in it finds none.
  }
}
