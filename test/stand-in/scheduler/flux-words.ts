import { constants } from "node:os";
import { fromF58, toF58 } from "./f58.ts";
import type { Call } from "./front-end.ts";
import type { Cluster } from "./cluster.ts";
import type { Job } from "./job.ts";

/** A job's number as Flux makes it: milliseconds since the instance began, 40 bits; then 24 that are mostly zero. */
export function fluidOf(job: Job): bigint {
  return (BigInt(job.number) * 7919n) << 24n;
}

export function f58Of(job: Job, prefix: "ƒ" | "f"): string {
  return toF58(fluidOf(job), prefix);
}

/** The id of a step in the instance of its job. */
export function stepIdOf(step: number): string {
  return toF58(BigInt(step + 1) << 24n, "ƒ");
}

/** `ƒ` where the caller's locale has it, as flux_job_id_encode(3) does. */
export function f58For(call: Call, job: Job): string {
  const { environment } = call;
  const locale = environment["LC_ALL"] || environment["LC_CTYPE"] || environment["LANG"] || "C";
  return f58Of(job, /utf-?8/i.test(locale) ? "ƒ" : "f");
}

/** The job of that id; undefined when it is none of this instance; false for what is no id at all. */
export function jobOf(text: string, cluster: Cluster): Job | undefined | false {
  const id = fromF58(text);
  if (id === undefined) return false;
  return cluster.known.find((job) => fluidOf(job) === id);
}

export function stateOf(job: Job): string {
  const states = { pending: "SCHED", running: "RUN", ending: "CLEANUP", ended: "INACTIVE" } as const;
  return job.held === "depend" && job.state === "pending" ? "DEPEND" : states[job.state];
}

/** `result` of a job that is inactive. */
export function resultOf(job: Job): string {
  if (job.end?.cause === "cancelled") return "CANCELED";
  if (job.end?.cause === "time-limit") return "TIMEOUT";
  return job.end?.cause === undefined && waitStatusOf(job) === 0 ? "COMPLETED" : "FAILED";
}

/** As waitpid(2) has it: the shell ends with 128 and the number of the signal that ended a task. Undefined: it never ran. */
export function waitStatusOf(job: Job): number | undefined {
  const { end } = job;
  if (end === undefined || !end.ran) return undefined;
  if (end.launchFailed) return 127 << 8;
  if (end.signal !== undefined) return (128 + constants.signals[end.signal]) << 8;
  return end.exitCode << 8;
}

/** `exception` of a job, as `flux jobs --json` has it. */
export function exceptionOf(job: Job): { occurred: boolean | ""; severity: number | ""; type: string; note: string } {
  const none = {
    occurred: job.state === "ended" ? (false as const) : ("" as const),
    severity: "" as const,
    type: "",
    note: "",
  };
  switch (job.end?.cause ?? job.cause) {
    case "cancelled":
      return { occurred: true, severity: 0, type: "cancel", note: "" };
    case "time-limit":
      return { occurred: true, severity: 0, type: "timeout", note: "resource allocation expired" };
    case "node-failure":
      return { occurred: true, severity: 0, type: "node-failure", note: "lost contact with job shell" };
    case "preempted":
      return { occurred: true, severity: 0, type: "preempt", note: "" };
    default:
      return none;
  }
}
