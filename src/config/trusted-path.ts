import { lstatSync, mkdirSync, readlinkSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { systemErrorCode } from "../error/error.ts";

const mostLinks = 40;

/** What {@link whyUntrusted} asks of a path beside the owners. */
export interface TrustRules {
  /** Permissions that what is at the end may not have. */
  readonly forbidden: number;
  /** Others may write to a directory on the way that is sticky: they cannot exchange what is not theirs there. */
  readonly sticky: boolean;
  /** The end is a directory, which is made when it is missing, with those above it, and is no link. */
  readonly makeDirectory: boolean;
}

/**
 * Why somebody else than root and this process's own account could have written what is at an absolute path, or could
 * exchange it; undefined when nobody could. What is at the end and every directory on the way belongs to one of the two, and nobody
 * else can write to it (as sshd's StrictModes has it). A link is followed when it is one of the two's, in a directory that was found safe
 * before. Never throws.
 */
export function whyUntrusted(path: string, rules: TrustRules): string | undefined {
  try {
    return walk(path, rules);
  } catch (error) {
    return `"${path}" cannot be used: ${systemErrorCode(error) ?? "unknown error"}`;
  }
}

function walk(path: string, rules: TrustRules): string | undefined {
  let pending = path.split("/").filter((name) => name !== "");
  let here = "/";
  let links = 0;
  const root = whyForeign("/", lstatSync("/"), 0o022);
  if (root !== undefined) return root;
  while (pending.length > 0) {
    const [name = "", ...rest] = pending;
    pending = rest;
    if (name === "." || name === "..") {
      // No link is left in `here`, so its parent is the one by name.
      if (name === "..") here = dirname(here);
      continue;
    }
    const next = here === "/" ? `/${name}` : `${here}/${name}`;
    const status = rules.makeDirectory ? lookOrMake(next) : lstatSync(next);
    const isLast = pending.length === 0;
    if (status.isSymbolicLink()) {
      links += 1;
      if (links > mostLinks || (isLast && rules.makeDirectory)) return `"${next}" is a symbolic link`;
      const foreign = whyForeign(next, status, 0);
      if (foreign !== undefined) return foreign;
      const target = readlinkSync(next);
      pending = [...target.split("/").filter((part) => part !== ""), ...pending];
      if (target.startsWith("/")) here = "/";
      continue;
    }
    if (!status.isDirectory() && !(isLast && !rules.makeDirectory)) return `"${next}" is not a directory`;
    const sticky = rules.sticky && !isLast && (status.mode & 0o1000) !== 0;
    const foreign = whyForeign(next, status, isLast ? rules.forbidden : sticky ? 0 : 0o022);
    if (foreign !== undefined) return foreign;
    here = next;
  }
  return undefined;
}

function lookOrMake(path: string): Stats {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status !== undefined) return status;
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
  }
  return lstatSync(path);
}

/** What is wrong with the owner or the mode of something, of which the `forbidden` bits may not be set. */
export function whyForeign(path: string, status: Stats, forbidden: number): string | undefined {
  if (status.uid !== 0 && status.uid !== process.geteuid?.()) {
    return `"${path}" belongs to the account number ${status.uid}`;
  }
  if ((status.mode & forbidden) === 0) return undefined;
  return `"${path}" is open to others (mode 0${(status.mode & 0o7777).toString(8)})`;
}
