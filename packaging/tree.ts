import {
  chmodSync,
  copyFileSync,
  constants,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** A file of a package, by its path in it. */
export type Entry = { readonly path: string } & (
  | { readonly content: string | Uint8Array; readonly mode?: number }
  /** A copy of another file. */
  | { readonly copyOf: string; readonly mode?: number }
  /** A second name of an entry before it. */
  | { readonly sameAs: string }
  | { readonly linkTo: string }
);

/** Writes a package's files below a new directory: modes as they are given (else 0644, directories 0755), all of one time. */
export function writeTree(root: string, entries: readonly Entry[], timeSeconds: number): void {
  for (const entry of entries) {
    const path = join(root, entry.path);
    mkdirSync(dirname(path), { recursive: true });
    if ("linkTo" in entry) symlinkSync(entry.linkTo, path);
    else if ("sameAs" in entry) linkSync(join(root, entry.sameAs), path);
    else {
      if ("content" in entry) writeFileSync(path, entry.content);
      else copyFileSync(entry.copyOf, path, constants.COPYFILE_FICLONE);
      chmodSync(path, entry.mode ?? 0o644);
    }
  }
  settle(root, timeSeconds);
}

/** Directories get a mode and a time when all is in them. */
function settle(path: string, timeSeconds: number): void {
  if (lstatSync(path).isDirectory()) {
    for (const name of readdirSync(path)) settle(join(path, name), timeSeconds);
    chmodSync(path, 0o755);
  }
  lutimesSync(path, timeSeconds, timeSeconds);
}
