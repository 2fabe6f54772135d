import { constants } from "node:os";
import type { BadOption } from "./command-line.ts";
import type { Cluster } from "./cluster.ts";
import type { Call } from "./front-end.ts";
import type { Job } from "./job.ts";

/** The name of the server that is played. */
export const serverName = "pbs";

export function idOf(job: Job): string {
  return `${job.number}.${serverName}`;
}

/** The error numbers of pbs_error.h; a program ends with the lower eight bits of one. */
export const errors = {
  unknownJob: [15001, "Unknown Job Id"],
  badValue: [15014, "Illegal attribute or resource value"],
  badState: [15016, "Request invalid for state of job"],
  unknownQueue: [15018, "Unknown queue"],
  unknownResource: [15035, "Unknown resource"],
  tooMuch: [15036, "Job violates queue and/or server resource limits"],
  finished: [15139, "Job has finished"],
  noHistory: [15140, "PBS is not configured to maintain job history"],
} as const satisfies Record<string, readonly [number, string]>;

export function exitCodeOf(error: readonly [number, string]): number {
  return error[0] & 0xff;
}

/** A job by `12` or `12.pbs`; whether or not it has ended. Undefined where the server has never had it, or not any more. */
export function find(cluster: Cluster, id: string): Job | undefined {
  const [, number, server] = /^(\d+)(?:\.([A-Za-z0-9.-]+))?$/.exec(id) ?? [];
  if (number === undefined || (server !== undefined && server !== serverName)) return undefined;
  const job = cluster.known.find((each) => String(each.number) === number);
  // Without history a job is gone the moment that it ends.
  return job?.state === "ended" && cluster.settings.history === "off" ? undefined : job;
}

export function isId(id: string): boolean {
  return /^\d+(\[\])?(\.[A-Za-z0-9.-]+)?$/.test(id);
}

/** `job_state`. */
export function stateOf(job: Job): string {
  if (job.state === "pending") return job.held === "hold" ? "H" : job.held === "wait" ? "W" : "Q";
  if (job.suspended) return "S";
  if (job.state === "running") return "R";
  return job.state === "ending" ? "E" : "F";
}

/** `Exit_status`: the shell's, 256 and the number of a signal, or a negative number of PBS's own; undefined: it never ran. */
export function exitStatusOf(job: Job): number | undefined {
  const { end } = job;
  if (end === undefined || !end.ran) return undefined;
  if (end.launchFailed) return -1;
  if (end.cause === "time-limit") return -29;
  if (end.cause === "memory-limit") return -27;
  if (end.cause === "node-failure") return -20;
  return end.signal === undefined ? end.exitCode : 256 + constants.signals[end.signal];
}

/** getopt's own words, and the usage. Returns the exit code. */
export function badUsage(call: Call, error: BadOption): number {
  call.err(`${call.program}: invalid option -- '${error.word}'\nusage: ${call.program} [options]\n`);
  return 2;
}
