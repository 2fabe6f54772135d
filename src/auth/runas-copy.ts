import {
  closeSync,
  constants,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { systemErrorCode } from "../error/error.ts";
import { capture, type Captured } from "../process/capture.ts";

/** Where the copy is made. The first is root's alone; scripts run from any of them, programs not where it is `noexec`. */
export const scratchPlaces = ["/run", "/tmp", "/var/tmp"];

/**
 * Runs a script from a copy of its bytes in a new directory that only this process's account can enter, and kills all that it left
 * running. It gets no input, `/` as its working directory, and the environment alone. Rejects with Node's error when it cannot be started.
 */
export async function runCopy(
  bytes: Buffer,
  environment: Record<string, string>,
  euid: number,
  timeoutSeconds: number,
  stop: AbortSignal | undefined,
): Promise<Captured> {
  let last: unknown = new Error("no place for a copy");
  for (const place of scratchPlaces) {
    if (!isScratchPlace(place, euid)) continue;
    let directory: string;
    try {
      directory = mkdtempSync(`${place}/jacamar-runas-`);
    } catch (error) {
      last = error;
      continue;
    }
    try {
      return await runIn(directory, bytes, environment, timeoutSeconds, stop);
    } catch (error) {
      last = error;
      if (systemErrorCode(error) !== "EACCES") throw error;
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  throw last;
}

async function runIn(
  directory: string,
  bytes: Buffer,
  environment: Record<string, string>,
  timeoutSeconds: number,
  stop: AbortSignal | undefined,
): Promise<Captured> {
  const copy = `${directory}/script`;
  // Closed before the start: the kernel runs no file that is open for writing (ETXTBSY).
  writeNew(copy, bytes);
  const mark = randomBytes(16).toString("hex");
  try {
    return await capture(
      {
        argv: commandLine(bytes, copy),
        environment: { ...environment, RUNAS_RUN: mark },
        workingDirectory: "/",
      },
      { timeoutSeconds, ...(stop ? { stop } : {}) },
    );
  } finally {
    killMarked(`RUNAS_RUN=${mark}`);
  }
}

/** A directory in which nobody else can exchange what is ours. */
function isScratchPlace(place: string, euid: number): boolean {
  const status = lstatSync(place, { throwIfNoEntry: false });
  if (!status?.isDirectory() || (status.uid !== 0 && status.uid !== euid)) return false;
  return (status.mode & 0o022) === 0 || (status.mode & 0o1000) !== 0;
}

function writeNew(file: string, bytes: Buffer): void {
  const descriptor = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o500);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * How the copy is run: with the program of its `#!` line and that one's argument, as execve(2) reads them, or by itself.
 * Starting the interpreter ourselves lets scripts run from a file system that is mounted `noexec`.
 */
function commandLine(bytes: Buffer, copy: string): [program: string, ...args: string[]] {
  const line = /^#![ \t]*(\/[^\s\0]*)(?:[ \t]+([^\n\0]*))?\n/.exec(bytes.subarray(0, 256).toString("latin1"));
  const program = line?.[1];
  if (program === undefined) return [copy];
  const argument = line?.[2]?.trim() ?? "";
  return argument === "" ? [program, copy] : [program, argument, copy];
}

/** Kills every process that was started with this in its environment: what a script left behind. */
function killMarked(mark: string): void {
  // A process may have been born between look and signal; a living one cannot outrun us for ever.
  for (let round = 0; round < 20; round += 1) {
    let found = false;
    for (const name of readdirSync("/proc")) {
      if (!/^[0-9]+$/.test(name) || Number(name) === process.pid || !carries(name, mark)) continue;
      found = true;
      try {
        process.kill(Number(name), "SIGKILL");
      } catch {
        // Gone meanwhile.
      }
    }
    if (!found) return;
  }
}

function carries(pid: string, mark: string): boolean {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, "latin1")}`.includes(`\0${mark}\0`);
  } catch {
    return false;
  }
}
