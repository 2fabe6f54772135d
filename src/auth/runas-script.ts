import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync, type Stats } from "node:fs";
import { systemErrorCode } from "../error/error.ts";

/** Linux: a descriptor that only names a file. Node has no name for it. */
const O_PATH = 0o10000000;
const mostLinks = 40;
const mostBytes = 64 * 1024 * 1024;

/** The script's bytes, or why it is not run. */
export type ScriptRead =
  | { readonly safe: true; readonly bytes: Buffer; readonly sha256: string }
  | { readonly safe: false; readonly why: string };

class Unsafe extends Error {}

/**
 * Reads the RunAs script, once, if nobody but root and the driver's account can have written it: it is a regular,
 * executable file of one of the two, and so is every directory on the way, none of them (also no sticky one) writable by a
 * group or by others. A symbolic link on the way must be theirs, too, in such a directory.
 * The walk holds each directory by a descriptor, and the bytes come from the very file that was looked at.
 *
 * @param trustedUid the driver's account, beside root.
 * @param sha256 that the bytes must have, in hexadecimal of either case; undefined: any.
 */
export function readScript(path: string, trustedUid: number, sha256: string | undefined): ScriptRead {
  try {
    const bytes = readTrusted(path, trustedUid);
    const sum = createHash("sha256").update(bytes).digest("hex");
    if (sha256 !== undefined && sum !== sha256.toLowerCase()) {
      return { safe: false, why: `its sha256 is ${sum}, not the one of the configuration` };
    }
    return { safe: true, bytes, sha256: sum };
  } catch (error) {
    if (error instanceof Unsafe) return { safe: false, why: error.message };
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return { safe: false, why: `it cannot be read: ${code}` };
  }
}

function readTrusted(path: string, trustedUid: number): Buffer {
  if (!path.startsWith("/")) throw new Unsafe("its path is not absolute");
  let descriptor = openSync("/", O_PATH | constants.O_DIRECTORY);
  let links = 0;
  let ahead = parts(path);
  let place = "";
  function move(next: number): void {
    closeSync(descriptor);
    descriptor = next;
  }
  try {
    for (;;) {
      const name = ahead.shift();
      if (name === undefined) throw new Unsafe("it is a directory");
      checkOwner(fstatSync(descriptor), trustedUid, place === "" ? "/" : place);
      const child = `/proc/self/fd/${descriptor}/${name}`;
      const status = lstatSync(child);
      if (status.isSymbolicLink()) {
        links += 1;
        if (links > mostLinks) throw new Unsafe("it lies behind too many symbolic links");
        checkLinkOwner(status, trustedUid, `${place}/${name}`);
        const target = readlinkSync(child);
        if (target.startsWith("/")) {
          move(openSync("/", O_PATH | constants.O_DIRECTORY));
          place = "";
        }
        ahead = [...parts(target), ...ahead];
      } else if (ahead.length === 0) {
        return readFile(child, trustedUid, `${place}/${name}`);
      } else {
        move(openSync(child, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW));
        place = name === ".." ? place.slice(0, Math.max(0, place.lastIndexOf("/"))) : `${place}/${name}`;
      }
    }
  } finally {
    closeSync(descriptor);
  }
}

function readFile(child: string, trustedUid: number, shown: string): Buffer {
  // Not blocking: a pipe in its place must not hold the driver.
  const file = openSync(child, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const status = fstatSync(file);
    if (!status.isFile()) throw new Unsafe(`"${shown}" is not a regular file`);
    checkOwner(status, trustedUid, shown);
    if ((status.mode & 0o111) === 0) throw new Unsafe(`"${shown}" is not executable`);
    if (status.size > mostBytes) throw new Unsafe(`"${shown}" is larger than ${mostBytes} bytes`);
    const chunks: Buffer[] = [];
    let length = 0;
    for (;;) {
      const chunk = Buffer.allocUnsafe(64 * 1024);
      const read = readSync(file, chunk, 0, chunk.length, null);
      if (read === 0) return Buffer.concat(chunks);
      length += read;
      if (length > mostBytes) throw new Unsafe(`"${shown}" is larger than ${mostBytes} bytes`);
      chunks.push(chunk.subarray(0, read));
    }
  } finally {
    closeSync(file);
  }
}

function checkOwner(status: Stats, trustedUid: number, shown: string): void {
  if (status.uid !== 0 && status.uid !== trustedUid) {
    throw new Unsafe(`"${shown}" belongs to the account number ${status.uid}`);
  }
  // With an access control list, the bits of the group are its mask, so this sees a list that lets somebody write.
  if ((status.mode & 0o022) !== 0) {
    throw new Unsafe(`"${shown}" can be written by others (mode 0${(status.mode & 0o7777).toString(8)})`);
  }
}

function checkLinkOwner(status: Stats, trustedUid: number, shown: string): void {
  if (status.uid === 0 || status.uid === trustedUid) return;
  throw new Unsafe(`the symbolic link "${shown}" belongs to the account number ${status.uid}`);
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
