import { constants } from "node:os";
import type { Job } from "./job.ts";

/** `STAT`. */
export function stateOf(job: Job): string {
  if (job.state === "pending") return job.held === "suspended" ? "PSUSP" : "PEND";
  if (job.suspended) return "USUSP";
  if (job.state !== "ended") return "RUN";
  return exitCodeOf(job) === 0 && job.end?.cause === undefined ? "DONE" : "EXIT";
}

/** `EXIT_CODE`: 128 and the number for a signal; a run limit is 140, as if by SIGUSR2. */
export function exitCodeOf(job: Job): number {
  const { end } = job;
  if (end === undefined || !end.ran) return 0;
  if (end.launchFailed) return 127;
  if (end.cause === "time-limit") return 140;
  if (end.cause === "memory-limit") return 137;
  return end.signal === undefined ? end.exitCode : 128 + constants.signals[end.signal];
}

/** `EXIT_REASON`. */
export function exitReasonOf(job: Job): string {
  switch (job.end?.cause) {
    case "cancelled":
      return "TERM_OWNER: job killed by owner";
    case "time-limit":
      return "TERM_RUNLIMIT: job killed after reaching LSF run time limit";
    case "memory-limit":
      return "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit";
    case "preempted":
      return "TERM_PREEMPT: job killed after preemption";
    case "node-failure":
      return "TERM_UNKNOWN: unknown reason";
    default:
      return "";
  }
}

/** `PEND_REASON`. */
export function pendReasonOf(job: Job): string {
  if (job.state !== "pending") return "";
  if (job.held === "suspended") return "Job was suspended by the user while pending;";
  if (job.held !== undefined) return `${job.held};`;
  if (job.reason === "resources" || job.reason === "priority") return "Job slot limit reached: 1 host;";
  if (job.reason === "requeued") return "Job has been requeued;";
  return job.reason === undefined ? "New job is waiting for scheduling;" : `${job.reason};`;
}
