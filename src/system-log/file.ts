import { closeSync, constants, fchmodSync, fstatSync, openSync, readSync, type Stats, writeSync } from "node:fs";
import { systemErrorCode } from "../error/error.ts";
import { failureReason, LogFailure } from "./log-failure.ts";

/** Linux: a descriptor that only names a directory, for which the right to search it is enough. Node has no name for it. */
const O_PATH = 0o10000000;
const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDWR, O_WRONLY } = constants;
const fileMode = 0o640;

/**
 * Appends a line to a log file, which is opened for this line alone, so that it may be rotated at any time. The file is
 * made, with mode 0640, when it is missing; its directory is not. The line is one write: processes that write at once, on a local
 * file system, do not mix their lines. What is left of a line that did not fit the disk stays a line of its own.
 *
 * The file must be a regular one, not a link, root's or ours and writable by nobody else; the same holds for each directory
 * above it, so that nobody else can exchange them (a sticky one will do, but not as the file's own).
 *
 * Throws {@link LogFailure}.
 */
export function appendLine(path: string, line: string): void {
  inDirectoryOf(path, (file) => append(openFile(file, "read and append"), path, line));
}

/**
 * Works in the directory of a log file, which is held meanwhile, so that nobody can exchange it: `work` gets the file's
 * path within it. Throws {@link LogFailure} as {@link appendLine} does, also for what `work` throws.
 */
export function inDirectoryOf<T>(path: string, work: (file: string) => T): T {
  try {
    const directory = openDirectory(path);
    try {
      return work(`/proc/self/fd/${directory}/${path.slice(path.lastIndexOf("/") + 1)}`);
    } finally {
      closeSync(directory);
    }
  } catch (error) {
    if (error instanceof LogFailure) throw error;
    const refused = ["ELOOP", "ENXIO", "EISDIR"].includes(systemErrorCode(error) ?? "");
    throw new LogFailure(refused ? `"${path}" is not a regular file` : `"${path}": ${failureReason(error)}`, {
      cause: error,
    });
  }
}

/**
 * Opens a log file as {@link appendLine} does, with all its checks, to be written later, also after the rights to open it
 * are given up: it can be appended to, not read. The caller closes the descriptor. Throws {@link LogFailure}.
 */
export function openForAppending(path: string): number {
  return inDirectoryOf(path, (file) => {
    // The line that a full disk has cut is ended now: later the file cannot be read.
    const look = openFile(file, "read and append");
    try {
      const { size } = check(look, path);
      if (endsInsideLine(look, size)) writeSync(look, "\n");
    } finally {
      closeSync(look);
    }
    const descriptor = openFile(file, "append");
    try {
      check(descriptor, path);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    return descriptor;
  });
}

/** Walks down to the directory of the file, and returns a descriptor of it. */
function openDirectory(path: string): number {
  const names = path.split("/").slice(1, -1);
  let descriptor = openSync("/", O_PATH | O_DIRECTORY);
  let here = "";
  try {
    for (const name of names) {
      checkOwner(fstatSync(descriptor), here || "/", { sticky: true });
      here += `/${name}`;
      const next = enter(descriptor, name, here);
      closeSync(descriptor);
      descriptor = next;
    }
    checkOwner(fstatSync(descriptor), here || "/", { sticky: false });
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function enter(parent: number, name: string, path: string): number {
  try {
    return openSync(`/proc/self/fd/${parent}/${name}`, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === "ENOENT") {
      throw new LogFailure(`the directory "${path}" is missing`, { hint: `As root: mkdir -m 0750 ${path}`, cause });
    }
    if (code === "ENOTDIR" || code === "ELOOP") {
      throw new LogFailure(`"${path}" is not a directory`, {
        hint: "A path that leads through symbolic links must be written without them.",
        cause,
      });
    }
    throw new LogFailure(`"${path}": ${failureReason(cause)}`, { cause });
  }
}

/** Opens the log file, and makes it when it is not there. Whoever makes it at the same time is fine. */
function openFile(path: string, mode: "read and append" | "append"): number {
  // A FIFO or device in its place must not hold us up: it is opened without waiting, and refused afterwards.
  const flags = (mode === "append" ? O_WRONLY : O_RDWR) | O_APPEND | O_NOFOLLOW | O_NONBLOCK;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return openSync(path, flags);
    } catch (error) {
      if (systemErrorCode(error) !== "ENOENT" || attempt === 5) throw error;
    }
    try {
      const descriptor = openSync(path, flags | O_CREAT | O_EXCL, fileMode);
      // The program's umask is 077.
      fchmodSync(descriptor, fileMode);
      return descriptor;
    } catch (error) {
      if (systemErrorCode(error) !== "EEXIST") throw error;
    }
  }
}

/** Writes the line and closes the file: over NFS, closing is what tells that the disk is full. */
function append(descriptor: number, path: string, line: string): void {
  try {
    const status = check(descriptor, path);
    const bytes = Buffer.from(`${endsInsideLine(descriptor, status.size) ? "\n" : ""}${line}\n`);
    if (writeSync(descriptor, bytes) !== bytes.length) {
      throw new LogFailure(`"${path}": the file system is full`);
    }
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  closeSync(descriptor);
}

/** The file must be what {@link appendLine} promises. */
function check(descriptor: number, path: string): Stats {
  const status = fstatSync(descriptor);
  if (!status.isFile()) throw new LogFailure(`"${path}" is not a regular file`);
  if (status.nlink > 1) throw new LogFailure(`"${path}" has other names beside this one (hard links)`);
  checkOwner(status, path, { sticky: false });
  return status;
}

function endsInsideLine(descriptor: number, size: number): boolean {
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  return readSync(descriptor, last, 0, 1, size - 1) === 1 && last.toString() !== "\n";
}

function checkOwner(status: Stats, path: string, allowed: { readonly sticky: boolean }): void {
  if (status.uid !== 0 && status.uid !== process.geteuid?.()) {
    throw new LogFailure(`"${path}" belongs to the account number ${status.uid}`, {
      hint: "It must be root's, or the account's that runs this program.",
    });
  }
  const sticky = allowed.sticky && (status.mode & 0o1000) !== 0;
  if ((status.mode & 0o022) !== 0 && !sticky) {
    throw new LogFailure(`"${path}" can be written by others`, { hint: `As root: chmod go-w ${path}` });
  }
}
