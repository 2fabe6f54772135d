import type { ChildProcess } from "node:child_process";

/** Why a job is ended before its script ends by itself. */
export type Cause =
  | "cancelled"
  | "time-limit"
  | "memory-limit"
  | "node-failure"
  | "preempted"
  | "requeued"
  /** It was not even taken, and has a record all the same. */
  | "rejected";

/** Where a job's output goes. */
export interface JobOutput {
  readonly path: string;
  readonly mode: "truncate" | "append";
  /** Straight to its place, or copied there when the job has ended. */
  readonly when: "directly" | "at-the-end";
}

/** A job as it is submitted. */
export interface JobSpec {
  readonly name: string;
  readonly userName: string;
  /** The script's text: a copy, as every scheduler makes one. Undefined for an allocation without a program of its own. */
  readonly script: string | undefined;
  /** What runs the copy, before its path; nothing: it is a program itself. */
  readonly interpreter: readonly string[];
  readonly scriptArguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly output: JobOutput | undefined;
  readonly error: JobOutput | undefined;
  /** Partition or queue. */
  readonly queue: string;
  readonly timeLimitSeconds: number | undefined;
  /** The scheduler's word for why it may not start; undefined when it may. */
  readonly held: string | undefined;
  readonly requeues: boolean;
  readonly gpus: number;
}

/** How a job ended. */
export interface JobEnd {
  /** Undefined: the script ended by itself. */
  readonly cause: Cause | undefined;
  /** The script could not be started at all. */
  readonly launchFailed: boolean;
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | undefined;
  /** False when it was ended before it began. */
  readonly ran: boolean;
}

/** A command that runs in a job beside its script. */
export interface JobStep {
  readonly name: string;
  readonly child: ChildProcess;
}

/** A job that the cluster knows. Only the cluster changes it. */
export interface Job {
  readonly number: number;
  readonly spec: JobSpec;
  readonly submittedAt: number;
  state: "pending" | "running" | "ending" | "ended";
  held: string | undefined;
  /** The scheduler's own word for why it waits. */
  reason: string | undefined;
  estimatedStart: number | undefined;
  eligibleAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  cause: Cause | undefined;
  end: JobEnd | undefined;
  restarts: number;
  suspended: boolean;
  /** The controller denies that there ever was such a job; it goes on all the same. */
  forgotten: boolean;
  child: ChildProcess | undefined;
  readonly steps: Map<number, JobStep>;
  nextStep: number;
  timers: NodeJS.Timeout[];
}
