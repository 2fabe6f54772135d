import type { Blame } from "../error/codes.ts";
import type { StepName } from "../measure/measurements.ts";

/**
 * The version of the lines. It changes when a key changes its meaning or goes away, not when one is added: readers must
 * pass over keys that they do not know.
 */
export const schemaVersion = 1;

/**
 * `passed`; `failed`: by the job's own fault; `error`: by the site's or this program's; `stopped`: the runner ended it.
 */
export type Outcome = "passed" | "failed" | "error" | "stopped";

/** Whose a line is. Keys are named as in the system log (src/system-log/entry.ts), so that both can be joined. */
export interface Subject {
  readonly job?: number | string;
  readonly job_name?: string;
  readonly project?: number;
  readonly project_full_path?: string;
  readonly pipeline_id?: number;
  /** The account of this system that the job runs as; unknown until that has been decided. */
  readonly account?: string;
  /** The runner's short token. */
  readonly runner?: string;
  /** `general.name`. */
  readonly instance?: string;
  /** The machine of the runner. */
  readonly host?: string;
  readonly executor?: string;
  readonly version?: string;
}

export const subjectKeys = [
  "job",
  "job_name",
  "project",
  "project_full_path",
  "pipeline_id",
  "account",
  "runner",
  "instance",
  "host",
  "executor",
  "version",
] as const satisfies readonly (keyof Subject)[];

/** How a stage or a job ended. */
export interface End {
  readonly outcome: Outcome;
  /** The script's own exit code. */
  readonly exit_code?: number;
  /** A code of src/error/codes.ts. */
  readonly error?: string;
  readonly blame?: Blame;
  /** What the job log shows, and by which the system log has more. */
  readonly id?: string;
  readonly message?: string;
}

/** The exit code is not among them: a job may have one though another stage failed. */
export const endKeys = ["outcome", "error", "blame", "id", "message"] as const satisfies readonly (keyof End)[];

/** What was found out; see `Facts` of src/measure/measurements.ts. */
export interface Findings {
  readonly mechanism?: string;
  readonly image?: string;
  readonly image_id?: string;
  readonly digest?: string;
  readonly image_bytes?: number;
  readonly cache?: "hit" | "pulled";
  readonly scheduler_id?: string;
  readonly node?: string;
  readonly queue_seconds?: number;
  readonly peak_memory_bytes?: number;
  readonly memory_limit_bytes?: number;
}

export const findingKeys = [
  "mechanism",
  "image",
  "image_id",
  "digest",
  "image_bytes",
  "cache",
  "scheduler_id",
  "node",
  "queue_seconds",
  "peak_memory_bytes",
  "memory_limit_bytes",
] as const satisfies readonly (keyof Findings)[];

/** A timed part of a stage; `at` counts from the stage's beginning. */
export interface StepOfStage {
  readonly name: StepName;
  readonly at: number;
  readonly seconds: number;
}

/** One stage of a job. */
export interface StageLine extends End, Findings, Subject {
  readonly schema: number;
  readonly kind: "stage";
  /** Tells the job from every other one, also of another GitLab server: see src/gitlab/job-key.ts. */
  readonly key: string;
  /** When it began, in UTC. */
  readonly time: string;
  /** `config`, `prepare`, `cleanup`, or the runner's name for a script. */
  readonly stage: string;
  readonly seconds: number;
  readonly steps: readonly StepOfStage[];
}

/** A stage within a {@link JobLine}; `at` counts from the job's beginning. */
export interface StageOfJob extends Pick<End, "outcome" | "error"> {
  readonly stage: string;
  readonly at: number;
  readonly seconds: number;
  readonly steps: readonly StepOfStage[];
}

/** A whole job, or one attempt at it: the runner tries three times to prepare one. */
export interface JobLine extends End, Findings, Subject {
  readonly schema: number;
  readonly kind: "job";
  readonly key: string;
  readonly time: string;
  readonly seconds: number;
  /** The stage in which the job failed. */
  readonly stage?: string;
  /** How long the runner's scripts ran, the user's among them. */
  readonly script_seconds: number;
  /** What this program's stages took beside the scripts and the queue. */
  readonly overhead_seconds: number;
  /** How long all steps of a name took together. */
  readonly step_seconds: Readonly<Partial<Record<StepName, number>>>;
  /** How many stages did not fit the line. */
  readonly stages_left_out?: number;
  /** The last key of a line, so that a reader that does not need them can leave out the larger part of it. */
  readonly stages: readonly StageOfJob[];
}

export type RecordLine = StageLine | JobLine;
