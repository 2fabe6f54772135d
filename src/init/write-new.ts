import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/**
 * Writes a file that is not there yet, whole or not at all: it is written under another name beside its place, and then
 * gets its own by link(2), which takes no name that something has.
 * Throws `usage` when something is there, and what the system says of the place.
 */
export function writeWhole(path: string, text: string, mode: number): void {
  const temporary = `${path}.${process.pid}-${process.hrtime.bigint()}`;
  try {
    const descriptor = openSync(
      temporary,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      const bytes = Buffer.from(text);
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
      // Whatever the umask.
      fchmodSync(descriptor, mode);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    linkSync(temporary, path);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === "EEXIST") throw alreadyThere(path);
    throw new JacamarError("usage", `Cannot write "${path}": ${code ?? "unknown error"}`, {
      hint: code === "ENOENT" ? "Its directory is not there." : "Name another FILE, or run as root.",
      cause,
    });
  } finally {
    try {
      unlinkSync(temporary);
    } catch {
      // It has never been made.
    }
  }
}

/** Throws `usage` when something has the name already, be it a link that leads nowhere. */
export function refuseExisting(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw alreadyThere(path);
}

function alreadyThere(path: string): JacamarError {
  return new JacamarError("usage", `"${path}" is there already, and was not touched`, {
    hint: `To look at it: jacamar check ${path}`,
  });
}
