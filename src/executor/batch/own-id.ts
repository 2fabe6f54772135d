import { readdirSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { lookAnew } from "../../workspace/look-anew.ts";
import { readSmallFile } from "../../workspace/small-file.ts";

/**
 * Reads what a job file leaves before all else: what the scheduler calls it, in the words that the job was given. Undefined while
 * there is none whole. The user's own processes can write there.
 */
export function readOwnId(path: string): string | undefined {
  lookAnew(dirname(path));
  return /^([^\s]{1,300})\n$/u.exec(readSmallFile(path, limitBytes) ?? "")?.[1];
}

/** The same of all other files of that kind beside it: those of the CI job's other steps. */
export function otherOwnIds(path: string): string[] {
  const directory = dirname(path);
  const names = readdirSync(directory).filter((name) => name.endsWith(extname(path)) && name !== basename(path));
  return names.flatMap((name) => readOwnId(join(directory, name)) ?? []);
}

/**
 * What two ways to write the same id have in common. Flux writes ids with one of two first letters, PBS with its server in one of two
 * ways, and Slurm with its cluster where a user has chosen one.
 */
export function plainId(id: string): string {
  return id.replace(/^[\u0192f]/u, "").replace(/[.;].*$/, "");
}

const limitBytes = 1024;
