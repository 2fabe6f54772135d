import { constants, linkSync, lstatSync, openSync, closeSync, renameSync, writeSync } from "node:fs";
import * as v from "valibot";
import { systemErrorCode } from "../error/error.ts";
import { isJobKey, type JobKey } from "../gitlab/job-key.ts";
import { canBeAlive, isJobLife, isSameRunner, type JobLife } from "../gitlab/job-life.ts";
import { directoryFailed } from "./directories.ts";
import { readSmall, remove } from "./script-files.ts";

/**
 * Says which job uses a builds directory that does not belong to a job slot. It lies beside the directory, where no
 * container sees it.
 *
 * A runner gives a directory to one of its jobs at a time. The lease is for what it cannot know: that another runner with
 * the same token, on this machine or on another one with the same file system, has given it away, too.
 */
export interface BuildsLease {
  readonly jobKey: JobKey;
  readonly jobId: string;
  /** Until when the job can be running. */
  readonly life: JobLife;
}

const leaseSchema = v.object({
  jobKey: v.custom<JobKey>(isJobKey),
  jobId: v.string(),
  life: v.custom<JobLife>(isJobLife),
});

const limitBytes = 4096;
/** Somebody may be writing it just now. */
const writingSeconds = 10;
const mostAttempts = 10;

/**
 * Takes the lease of a builds directory; it may be taken again by the same job. Undefined when it is taken; else who has
 * it, `unknown` when that cannot be read.
 *
 * A lease is over when its runner is gone, when its time is, or when its runner is the one that asks: that one gives
 * the directory away only when the job before has ended, whether or not a cleanup came.
 * Throws `directory_failed` or `disk_full`.
 */
export function takeLease(
  buildsDir: string,
  lease: BuildsLease,
  nowSeconds: number,
): BuildsLease | "unknown" | undefined {
  const path = leaseFileOf(buildsDir);
  for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
    if (writeFirst(path, JSON.stringify(lease))) return undefined;
    const text = readSmall(path, limitBytes);
    const other = text === undefined ? undefined : parseLease(text);
    if (other?.jobKey === lease.jobKey) return undefined;
    if (other === undefined ? isBeingWritten(path, nowSeconds) : holds(other, lease.life, nowSeconds)) {
      return other ?? "unknown";
    }
    takeAway(path, text, lease.jobKey);
  }
  return "unknown";
}

/** Whether another job than those of the runner that asks can be at work in the directory. */
export function isLeased(buildsDir: string, asking: JobLife, nowSeconds: number): boolean {
  const path = leaseFileOf(buildsDir);
  const text = readSmall(path, limitBytes);
  const lease = text === undefined ? undefined : parseLease(text);
  return lease === undefined ? isBeingWritten(path, nowSeconds) : holds(lease, asking, nowSeconds);
}

/** Whether the job has the lease. */
export function hasLease(buildsDir: string, jobKey: JobKey): boolean {
  const text = readSmall(leaseFileOf(buildsDir), limitBytes);
  return text !== undefined && parseLease(text)?.jobKey === jobKey;
}

/** Gives the job's lease back; somebody else's stays. Throws `directory_failed`. */
export function releaseLease(buildsDir: string, jobKey: JobKey): void {
  if (hasLease(buildsDir, jobKey)) remove(leaseFileOf(buildsDir));
}

function leaseFileOf(buildsDir: string): string {
  return `${buildsDir}.lease`;
}

function holds({ life }: BuildsLease, asking: JobLife, nowSeconds: number): boolean {
  return !isSameRunner(life, asking) && canBeAlive(life, nowSeconds);
}

/** Whether the file was not there before and is written now. */
function writeFirst(path: string, text: string): boolean {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  try {
    const descriptor = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      writeSync(descriptor, text);
    } finally {
      closeSync(descriptor);
    }
    return true;
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === "EEXIST") return false;
    throw directoryFailed(path, code, cause);
  }
}

function isBeingWritten(path: string, nowSeconds: number): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && nowSeconds - status.mtimeMs / 1000 < writingSeconds;
}

/** Takes a lease that is over out of the way. When somebody has exchanged it meanwhile, that one's goes back. */
function takeAway(path: string, text: string | undefined, jobKey: JobKey): void {
  const aside = `${path}.${jobKey}`;
  try {
    renameSync(path, aside);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === "ENOENT") return;
    throw directoryFailed(path, code, cause);
  }
  if (readSmall(aside, limitBytes) !== text) putBack(aside, path);
  remove(aside);
}

function putBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code !== "EEXIST") throw directoryFailed(path, code, cause);
  }
}

function parseLease(text: string): BuildsLease | undefined {
  try {
    const parsed = v.safeParse(leaseSchema, JSON.parse(text));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}
