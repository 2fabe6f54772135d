import { lstatSync, mkdirSync, readlinkSync, type Stats } from "node:fs";
import { dirname } from "node:path";
import { systemErrorCode } from "../error/error.ts";

const mostLinks = 40;

/**
 * Makes what is missing of a directory, and tells why it cannot be trusted; undefined when nobody but root and this
 * process's own account can have written what is in it, or exchanged it: it is 0700, and nobody else owns, or can write to,
 * any directory on the way (as sshd's StrictModes has it). A link is followed only in a directory that was found safe before.
 * Never throws.
 */
export function whyNotPrivate(directory: string): string | undefined {
  try {
    return whyUnsafe(directory);
  } catch (error) {
    return `"${directory}" cannot be used: ${systemErrorCode(error) ?? "unknown error"}`;
  }
}

function whyUnsafe(directory: string): string | undefined {
  let pending = directory.split("/").filter((name) => name !== "");
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
    const path = here === "/" ? `/${name}` : `${here}/${name}`;
    const status = lookOrMake(path);
    const isLast = pending.length === 0;
    if (status.isSymbolicLink()) {
      links += 1;
      if (isLast || links > mostLinks) return `"${path}" is a symbolic link`;
      const foreign = whyForeign(path, status, 0);
      if (foreign !== undefined) return foreign;
      const target = readlinkSync(path);
      pending = [...target.split("/").filter((part) => part !== ""), ...pending];
      if (target.startsWith("/")) here = "/";
      continue;
    }
    if (!status.isDirectory()) return `"${path}" is not a directory`;
    const foreign = whyForeign(path, status, isLast ? 0o077 : 0o022);
    if (foreign !== undefined) return foreign;
    here = path;
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
