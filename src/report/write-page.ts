import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/** Links of the system's to what this process has open. In `/dev/shm` everybody can make links. */
const streams = /^(?:\/dev\/(?:null|tty|stdout|stderr|fd\/\d+)|\/proc\/self\/fd\/\d+)$/;

/**
 * Writes the page. It takes the place of a file, or of a link, of that name at once: who reads meanwhile has the old page or the
 * new one, and a link that somebody has put there is not followed. A page is for its owner alone, but keeps the mode and group of
 * one that this account had there. A stream of this process is written to as it is.
 * Throws `report_failed`.
 */
export function writePage(path: string, page: string): void {
  try {
    if (streams.test(path)) writeFileSync(path, page);
    else replace(path, page);
  } catch (cause) {
    if (cause instanceof JacamarError) throw cause;
    throw new JacamarError("report_failed", `Cannot write "${path}": ${systemErrorCode(cause) ?? "unknown error"}`, {
      cause,
    });
  }
}

function replace(path: string, page: string): void {
  const before = lstatSync(path, { throwIfNoEntry: false });
  if (before !== undefined && !before.isFile() && !before.isSymbolicLink()) {
    throw new JacamarError("report_failed", `Cannot write "${path}": it is there already, and is not a regular file`);
  }
  const own = before?.isFile() === true && isOurs(before) ? before : undefined;
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}`);
  let descriptor: number;
  try {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    descriptor = openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  } catch (error) {
    // A page in a directory of somebody else's, such as a web server's, can be written to and not be replaced.
    if (own === undefined || systemErrorCode(error) !== "EACCES") throw error;
    writeInto(path, page);
    return;
  }
  try {
    try {
      writeFileSync(descriptor, page);
      if (own !== undefined) {
        fchownSync(descriptor, own.uid, own.gid);
        fchmodSync(descriptor, own.mode & 0o777);
      }
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
}

function writeInto(path: string, page: string): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile() || !isOurs(status)) throw new Error("it has become another file");
    // Over the old page, whose end is cut off.
    writeFileSync(descriptor, page);
    ftruncateSync(descriptor, Buffer.byteLength(page));
  } finally {
    closeSync(descriptor);
  }
}

function isOurs({ uid, nlink }: Stats): boolean {
  return uid === process.geteuid?.() && nlink === 1;
}
