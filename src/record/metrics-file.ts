import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { systemErrorCode } from "../error/error.ts";
import { inDirectoryOf } from "../system-log/file.ts";
import { failureReason, LogFailure } from "../system-log/log-failure.ts";
import type { JobLine } from "./line.ts";
import { withLock } from "./lock.ts";
import { countJob, exposition, type Metrics, noMetrics, packMetrics, unpackMetrics } from "./metrics.ts";

/** What is done under the lock takes a millisecond. */
const waitMilliseconds = 2000;
const limitBytes = 4 * 1024 * 1024;

/**
 * Counts a job and writes all counters anew, for node_exporter to read at any time: the file is replaced at once, by one process
 * after the other.
 *
 * @param file `prometheus_file`. Its directory must be there; it may be any account's that root trusts with it.
 * @param kept where the counters are kept between two jobs; beside the record, in a directory that nobody else can write to.
 * Throws `LogFailure`.
 */
export function countInFile(file: string, kept: string, job: JobLine): void {
  let metrics: Metrics = noMetrics;
  const done = inDirectoryOf(kept, (path) =>
    withLock(`${path}.lock`, waitMilliseconds, () => {
      metrics = countJob(read(path) ?? noMetrics, job);
      replace(path, packMetrics(metrics), 0o600);
      publish(file, exposition(metrics));
    }),
  );
  if (!done) throw new LogFailure(`"${kept}.lock" is held by another process`);
}

function publish(file: string, text: string): void {
  try {
    replace(file, text, 0o644);
  } catch (cause) {
    throw new LogFailure(`"${file}": ${failureReason(cause)}`, { cause });
  }
}

/** Puts a new file in the place of another at once. What stands there, a link too, is replaced and never written through. */
function replace(path: string, text: string, mode: number): void {
  // node_exporter reads only names that end in .prom.
  const temporary = `${dirname(path)}/.${path.slice(path.lastIndexOf("/") + 1)}.${process.pid}`;
  const descriptor = openNew(temporary, mode);
  try {
    fchmodSync(descriptor, mode);
    const bytes = Buffer.from(text);
    if (writeSync(descriptor, bytes) !== bytes.length) throw new LogFailure(`"${path}": the file system is full`);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, path);
}

/** Never opens what stands there: in a directory of another account it could be a second name of any file. */
function openNew(path: string, mode: number): number {
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
  return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, mode);
}

function read(path: string): Metrics | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const status = fstatSync(descriptor);
    return status.isFile() && status.size <= limitBytes ? unpackMetrics(readFileSync(descriptor, "utf8")) : undefined;
  } finally {
    closeSync(descriptor);
  }
}
