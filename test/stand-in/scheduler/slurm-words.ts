import { constants } from "node:os";
import type { Job } from "./job.ts";

/** `JobState` of a job, as squeue and scontrol print it. */
export function stateOf(job: Job): string {
  if (job.state === "pending") return "PENDING";
  if (job.suspended) return "SUSPENDED";
  if (job.state === "running") return "RUNNING";
  if (job.state === "ending") return "COMPLETING";
  switch (job.end?.cause) {
    case "cancelled":
      return "CANCELLED";
    case "time-limit":
      return "TIMEOUT";
    case "memory-limit":
      return "OUT_OF_MEMORY";
    case "node-failure":
      return "NODE_FAIL";
    case "preempted":
      return "PREEMPTED";
    case "rejected":
      return "FAILED";
    default:
      return exitCodeOf(job).every((number) => number === 0) ? "COMPLETED" : "FAILED";
  }
}

/** Slurm's letters for a state. */
export const shortStates: Readonly<Record<string, string>> = {
  PENDING: "PD",
  RUNNING: "R",
  SUSPENDED: "S",
  COMPLETING: "CG",
  COMPLETED: "CD",
  CANCELLED: "CA",
  FAILED: "F",
  TIMEOUT: "TO",
  OUT_OF_MEMORY: "OOM",
  NODE_FAIL: "NF",
  PREEMPTED: "PR",
};

/** `Reason` of a job. */
export function reasonOf(job: Job): string {
  if (job.state === "pending") {
    const words: Readonly<Record<string, string>> = {
      resources: "Resources",
      priority: "Priority",
      requeued: "BeginTime",
    };
    return words[job.reason ?? ""] ?? job.reason ?? "None";
  }
  const cause = job.end?.cause ?? job.cause;
  if (cause === "time-limit") return "TimeLimit";
  if (job.state !== "ended" || job.end === undefined) return "None";
  if (cause === "memory-limit") return "OutOfMemory";
  if (cause === "node-failure") return "NodeDown";
  if (cause === "rejected") return "BadConstraints";
  if (cause === "cancelled" && !job.end.ran) return job.held ?? "None";
  if (cause !== undefined) return "None";
  if (job.end.launchFailed || job.end.signal !== undefined) return "JobLaunchFailure";
  return job.end.exitCode === 0 ? "None" : "NonZeroExitCode";
}

/** `ExitCode`: the code and the signal. */
export function exitCodeOf(job: Job): [code: number, signal: number] {
  const { end } = job;
  if (end === undefined || !end.ran) return [0, 0];
  if (end.launchFailed) return [0, 53];
  if (end.cause === "memory-limit") return [0, 125];
  if (end.signal !== undefined) return [0, constants.signals[end.signal]];
  return [end.exitCode, 0];
}
