import { accessSync, constants } from "node:fs";

/** Whether this process may run what lies at a path. A directory counts, too. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The path of a program that a PATH leads to; undefined where it leads to none. Relative directories are left out. */
export function onPath(program: string, path: string): string | undefined {
  return path
    .split(":")
    .filter((directory) => directory.startsWith("/"))
    .map((directory) => `${directory}/${program}`)
    .find(isExecutable);
}

/** The same with the directories of the administrator's programs, which users often have not. */
export function onSystemPath(program: string): string | undefined {
  return onPath(program, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}
