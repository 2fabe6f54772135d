import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { systemErrorCode } from "../error/error.ts";

const mostLinks = 40;

/** How a file that others are to run or believe was found. */
export type FileState =
  | { readonly kind: "safe"; readonly status: Stats }
  | { readonly kind: "missing" }
  /** Somebody else than root and the trusted accounts can put another one in its place. */
  | { readonly kind: "exchangeable"; readonly why: string }
  | { readonly kind: "unknown"; readonly why: string };

/**
 * Whether somebody could put another file in the place of this one: every directory on the way, every link and the file
 * itself must be root's or a trusted account's and closed to others' writing (a sticky directory, such as /tmp, lets
 * nobody exchange what is another's). It only looks: whoever uses the file for good must hold what they looked at.
 */
export function lookAtFile(path: string, trusted: readonly number[]): FileState {
  let pending = path.split("/").filter((part) => part !== "" && part !== ".");
  let here = "";
  let links = 0;
  try {
    let status = lstatSync("/");
    for (;;) {
      const why = whyExchangeable(here === "" ? "/" : here, status, trusted);
      if (why !== undefined) return { kind: "exchangeable", why };
      const [name, ...rest] = pending;
      if (name === undefined) return { kind: "safe", status };
      pending = rest;
      if (name === "..") {
        here = here.slice(0, Math.max(0, here.lastIndexOf("/")));
        status = lstatSync(here === "" ? "/" : here);
        continue;
      }
      const next = lstatSync(`${here}/${name}`);
      if (!next.isSymbolicLink()) {
        here = `${here}/${name}`;
        status = next;
        continue;
      }
      links += 1;
      if (links > mostLinks) return { kind: "unknown", why: "it lies behind too many symbolic links" };
      if (!isTrusted(next, trusted)) {
        return {
          kind: "exchangeable",
          why: `the symbolic link "${here}/${name}" belongs to the account number ${next.uid}`,
        };
      }
      const target = readlinkSync(`${here}/${name}`);
      pending = [...target.split("/").filter((part) => part !== "" && part !== "."), ...pending];
      if (target.startsWith("/")) here = "";
      status = lstatSync(here === "" ? "/" : here);
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    if (code === "ENOENT" || code === "ENOTDIR") return { kind: "missing" };
    return { kind: "unknown", why: `it cannot be looked at (${code})` };
  }
}

function whyExchangeable(path: string, status: Stats, trusted: readonly number[]): string | undefined {
  if (!isTrusted(status, trusted)) return `"${path}" belongs to the account number ${status.uid}`;
  const sticky = status.isDirectory() && (status.mode & 0o1000) !== 0;
  // Whoever is in root's group is as good as root.
  const writable = status.mode & (status.gid === 0 ? 0o002 : 0o022);
  if (writable === 0 || sticky) return undefined;
  return `"${path}" can be written by others (mode 0${(status.mode & 0o7777).toString(8)})`;
}

function isTrusted(status: Stats, trusted: readonly number[]): boolean {
  return status.uid === 0 || trusted.includes(status.uid);
}
