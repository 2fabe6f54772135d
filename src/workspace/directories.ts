import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  rmSync,
  type Stats,
} from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/** Linux: a descriptor that only names a directory, for which the right to search it is enough. Node has no name for it. */
const O_PATH = 0o10000000;

const mostLinks = 40;

export interface DirectoryRules {
  /** Whose the directories must be. */
  readonly uid: number;
  /** Mode of the directories that are made, and of those that stood before: 0700, or 0750 with `group_permissions`. */
  readonly mode: 0o700 | 0o750;
  /** The user's home, where `data_dir` may be: it keeps its mode, which is none of the driver's business. */
  readonly home?: string | undefined;
}

/**
 * Makes a directory of the job below `base`, with all that lead to it, and returns when each one is known to be safe:
 *
 * - `base` and everything below it is the user's, nobody else can write to it, and it has the mode of the rules;
 * - nobody but root and the user can exchange a directory above it: those are theirs and not writable by others, or sticky;
 * - a symbolic link is followed only above `base`, as `base` itself or right below it (`builds`, `cache`, `scripts`),
 *   and only one of root's or the user's; what the last two lead to must have its mode already (facts/jacamar.md,
 *   `data_dir`).
 *
 * The walk holds each directory by a descriptor, so that nothing can be exchanged between look and use.
 * @param last Mode of the last directory, where that is another one.
 *
 * Throws `directory_unsafe`, `directory_failed` or `disk_full`.
 */
export function makeDirectory(
  base: string,
  path: string,
  rules: DirectoryRules,
  last: 0o700 | 0o750 = rules.mode,
): void {
  const below = partsBelow(base, path);
  const walk = new Walk(rules);
  try {
    let way: Way = "direct";
    for (const part of parts(base)) way = walk.enter(part, "make");
    walk.checkOwn(way, below.length === 0 ? last : rules.mode);
    for (const [depth, part] of below.entries()) {
      // Users move builds, cache or scripts to a larger file system and leave a link in its place.
      way = depth === 0 ? walk.enter(part, "make") : walk.enterOwn(part, "make");
      walk.checkOwn(way, depth === below.length - 1 ? last : rules.mode);
    }
  } finally {
    walk.close();
  }
}

/**
 * Whether something is there at `path` below `base`, on a way that {@link makeDirectory} would go. To be asked before it
 * is removed: a job can put a link in the place of a directory of its own, and what that leads to is not the job's. And to
 * be asked of `base` itself before anything in it is believed: somebody else may have taken its name first.
 * Throws `directory_unsafe` for another way, `directory_failed` when the way cannot be looked at.
 */
export function isThere(base: string, path: string, rules: DirectoryRules): boolean {
  const way = partsBelow(base, path);
  const name = way.pop();
  const walk = new Walk(rules);
  try {
    for (const part of parts(base)) if (walk.enter(part, "stop") === "missing") return false;
    walk.checkOwner();
    for (const [depth, part] of way.entries()) {
      const entered = depth === 0 ? walk.enter(part, "stop") : walk.enterOwn(part, "stop");
      if (entered === "missing") return false;
    }
    return name === undefined || walk.has(name);
  } finally {
    walk.close();
  }
}

/**
 * As root, makes the directory that a user cannot make (`root_dir_creation`), 0700 and the user's. Nothing of the user's is
 * opened: all above it must be root's and closed to others, or sticky, and no link of anybody else is followed; the
 * directory itself is only looked at. One that is there already must be the user's and closed to others.
 * Throws `directory_unsafe`, `directory_failed` or `disk_full`.
 */
export function makeDirectoryFor(path: string, owner: { readonly uid: number; readonly gid: number }): void {
  const above = parts(path);
  const name = above.pop();
  if (name === undefined) throw new Error("the root directory cannot be a user's");
  const walk = new Walk({ uid: 0, mode: 0o700 });
  try {
    for (const part of above) walk.enter(part, "fail");
    walk.makeFor(name, owner);
  } finally {
    walk.close();
  }
}

/**
 * Removes a file or directory of the job with all that is in it, following no link. Nothing there is fine.
 * Returns what hindered it, undefined when it is gone.
 */
export function removeTree(path: string): Error | undefined {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 2, retryDelay: 50 });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** How a directory was entered; `missing` only where nothing was to be made. */
type Way = "direct" | "link" | "missing";

class Walk {
  readonly #rules: DirectoryRules;
  #descriptor: number;
  /** Where the walk stands, for messages. */
  #path = "";
  #links = 0;

  constructor(rules: DirectoryRules) {
    this.#rules = rules;
    this.#descriptor = openSync("/", O_PATH | constants.O_DIRECTORY);
  }

  /** Goes one directory down, above the base: through links of root's or the user's; makes what is missing. */
  enter(name: string, missing: "make" | "fail" | "stop"): Way {
    this.#checkNobodyElseCanExchange(name);
    const status = this.#look(name);
    if (!status?.isSymbolicLink()) return this.#enterDirectory(name, status, missing);
    if (status.uid !== 0 && status.uid !== this.#rules.uid) {
      throw unsafe(`${this.#path}/${name}`, "is a symbolic link of somebody else's");
    }
    this.#links += 1;
    if (this.#links > mostLinks) throw unsafe(`${this.#path}/${name}`, "leads through too many symbolic links");
    const link = this.#readLink(name);
    if (link.startsWith("/")) this.#restart();
    for (const part of link.split("/").filter((text) => text !== "" && text !== ".")) {
      if (part === "..") this.#up();
      else if (this.enter(part, missing === "stop" ? "stop" : "fail") === "missing") return "missing";
    }
    return "link";
  }

  /** Goes one directory down, below the base: never through a link; makes what is missing. */
  enterOwn(name: string, missing: "make" | "stop"): Way {
    return this.#enterDirectory(name, this.#look(name), missing);
  }

  /** Whether there is something of that name where the walk stands. */
  has(name: string): boolean {
    return this.#look(name) !== undefined;
  }

  /** The directory where the walk stands must be the user's. */
  checkOwner(): Stats {
    const status = fstatSync(this.#descriptor);
    if (status.uid === this.#rules.uid) return status;
    throw unsafe(this.#path || "/", `belongs to the account number ${status.uid}, not to you`);
  }

  /** The directory where the walk stands must be the user's, closed to others' writing, with this mode. */
  checkOwn(way: Way, wanted: number): void {
    const status = this.checkOwner();
    const mode = status.mode & 0o7777;
    if ((mode & 0o022) !== 0) {
      throw unsafe(
        this.#path,
        `can be written by others (mode ${octal(mode)})`,
        `Check what is in it, then: chmod ${octal(wanted)} ${this.#path}`,
      );
    }
    if (this.#path === this.#rules.home) return;
    const permissions = mode & 0o777;
    if (permissions === wanted || (way === "link" && permissions === 0o700)) return;
    if (way === "link") {
      throw unsafe(
        this.#path,
        `has mode ${octal(mode)} instead of ${octal(wanted)}, and a symbolic link leads to it`,
        `If it is for CI jobs alone: chmod ${octal(wanted)} ${this.#path}`,
      );
    }
    try {
      chmodSync(this.#self(), wanted);
    } catch (cause) {
      throw new JacamarError(
        "directory_unsafe",
        `The directory "${this.#path}" has mode ${octal(mode)} instead of ${octal(wanted)}, and it cannot be changed: ${systemErrorCode(cause) ?? "unknown error"}`,
        { cause },
      );
    }
  }

  /** Makes a directory for somebody else where the walk stands, or looks whether it is theirs. */
  makeFor(name: string, owner: { readonly uid: number; readonly gid: number }): void {
    this.#checkNobodyElseCanExchange(name);
    // Never given away unless it was made here: in a sticky directory somebody else may come first.
    if (this.#look(name) === undefined && this.#make(name)) {
      try {
        lchownSync(this.#child(name), owner.uid, owner.gid);
      } catch (cause) {
        throw this.#failed(name, systemErrorCode(cause), cause);
      }
    }
    const status = this.#look(name);
    const isTheirs = status?.isDirectory() === true && status.uid === owner.uid && (status.mode & 0o022) === 0;
    if (!isTheirs)
      throw unsafe(`${this.#path}/${name}`, `is not a directory of the account number ${owner.uid}, closed to others`);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** Whoever can write to a directory without the sticky bit can exchange what is in it. */
  #checkNobodyElseCanExchange(name: string): void {
    const status = fstatSync(this.#descriptor);
    const sticky = (status.mode & 0o1000) !== 0;
    if ((status.mode & 0o022) !== 0 && !sticky) {
      throw unsafe(
        this.#path || "/",
        `can be written by others, so "${name}" in it could be exchanged`,
        `Ask the administrator to run: chmod go-w ${this.#path || "/"} (or chmod +t)`,
      );
    }
    if (status.uid !== 0 && status.uid !== this.#rules.uid) {
      throw unsafe(
        this.#path || "/",
        `belongs to the account number ${status.uid}, who could exchange "${name}" in it`,
      );
    }
  }

  #enterDirectory(name: string, status: Stats | undefined, missing: "make" | "fail" | "stop"): Way {
    if (status === undefined) {
      if (missing === "stop") return "missing";
      if (missing === "fail") throw this.#failed(name, "ENOENT");
      this.#make(name);
    }
    this.#open(name);
    return "direct";
  }

  #look(name: string): Stats | undefined {
    try {
      return lstatSync(this.#child(name), { throwIfNoEntry: false });
    } catch (cause) {
      throw this.#failed(name, systemErrorCode(cause), cause);
    }
  }

  #readLink(name: string): string {
    try {
      return readlinkSync(this.#child(name));
    } catch (cause) {
      throw this.#failed(name, systemErrorCode(cause), cause);
    }
  }

  /** Returns whether it made the directory; false when something of that name is there by now. */
  #make(name: string): boolean {
    try {
      mkdirSync(this.#child(name), this.#rules.mode);
      return true;
    } catch (cause) {
      const code = systemErrorCode(cause);
      if (code === "EEXIST") return false;
      throw this.#failed(name, code, cause);
    }
  }

  #open(name: string): void {
    let next: number;
    try {
      next = openSync(this.#child(name), O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    } catch (cause) {
      const code = systemErrorCode(cause);
      if (code === "ELOOP" || code === "ENOTDIR") throw unsafe(`${this.#path}/${name}`, "is not a directory");
      throw this.#failed(name, code, cause);
    }
    closeSync(this.#descriptor);
    this.#descriptor = next;
    this.#path = `${this.#path}/${name}`;
  }

  #restart(): void {
    closeSync(this.#descriptor);
    this.#descriptor = openSync("/", O_PATH | constants.O_DIRECTORY);
    this.#path = "";
  }

  #up(): void {
    const next = openSync(this.#child(".."), O_PATH | constants.O_DIRECTORY);
    closeSync(this.#descriptor);
    this.#descriptor = next;
    this.#path = this.#path.slice(0, Math.max(0, this.#path.lastIndexOf("/")));
  }

  #self(): string {
    return `/proc/self/fd/${this.#descriptor}`;
  }

  #child(name: string): string {
    return `${this.#self()}/${name}`;
  }

  #failed(name: string, code: string | undefined, cause?: unknown): JacamarError {
    return directoryFailed(`${this.#path}/${name}`, code, cause);
  }
}

/** Says in one way that a file or directory of the job could not be made, and tells a full disk from the rest. */
export function directoryFailed(path: string, code: string | undefined, cause?: unknown): JacamarError {
  if (code === "ENOSPC" || code === "EDQUOT") {
    const what = code === "EDQUOT" ? "your quota is used up" : "the file system is full";
    return new JacamarError("disk_full", `Cannot write "${path}": ${what}`, {
      hint:
        code === "EDQUOT"
          ? "Remove files of yours there, then retry the job."
          : "Tell the administrators which file system it is; retry later.",
      cause,
    });
  }
  const hint =
    code === "EACCES" || code === "EPERM"
      ? "The account of the job has no right to make it. Ask the administrator for a directory of your own there."
      : "Ask the administrator to check data_dir.";
  return new JacamarError("directory_failed", `Cannot make "${path}": ${code ?? "unknown error"}`, { hint, cause });
}

/** Whether a directory is there, is the account's, and is closed to everybody else. Follows no link. One that cannot be seen is not. */
export function isPrivateDirectory(path: string, uid: number): boolean {
  let status: Stats | undefined;
  try {
    status = lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return false;
  }
  return status?.isDirectory() === true && status.uid === uid && (status.mode & 0o777) === 0o700;
}

function parts(path: string): string[] {
  const names = path.split("/").filter((part) => part !== "");
  if (names.some((name) => name === "." || name === "..")) throw new Error("a path of the job that goes up");
  return names;
}

function partsBelow(base: string, path: string): string[] {
  if (path !== base && !path.startsWith(`${base}/`)) throw new Error("a directory outside its base");
  return parts(path.slice(base.length));
}

function unsafe(path: string, why: string, hint?: string): JacamarError {
  return new JacamarError("directory_unsafe", `The directory "${path}" ${why}`, {
    hint: hint ?? "No job runs with it. Ask the administrator to check data_dir.",
  });
}

function octal(mode: number): string {
  return `0${mode.toString(8)}`;
}
