import type { StageOutcome } from "./driver-stage.ts";
import type { JobLog } from "./job-log.ts";
import type { Dependency } from "./job-response.ts";
import type { JobFacts } from "./job-variables.ts";
import type { Sources } from "./sources.ts";

/** Artifacts that a job left, as a `tar.gz` file. */
export interface StoredArtifacts {
  readonly file: string;
  readonly bytes: number;
}

/** How a job ended, with the reason that GitLab would show. */
export type JobResult =
  | { readonly status: "success"; readonly artifacts: StoredArtifacts | undefined }
  | {
      readonly status: "failed";
      readonly reason: "script_failure" | "runner_system_failure" | "job_execution_timeout";
      readonly exitCode: number | undefined;
      readonly artifacts: StoredArtifacts | undefined;
    }
  | { readonly status: "canceled"; readonly artifacts: StoredArtifacts | undefined };

/** An earlier job whose artifacts this one gets. */
export interface JobDependency extends Dependency {
  readonly file: string;
}

export interface JobWorld {
  readonly facts: JobFacts;
  /** The driver's program and the arguments that come before those of a stage. */
  readonly driver: readonly [string, ...string[]];
  readonly configuration: string;
  /** What the driver processes inherit, as they would from the runner's service. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where the runner would put its temporary directories. */
  readonly temporaryDir: string;
  readonly log: JobLog;
  /** What would go to the runner's own log: the driver's messages while it cleans up. */
  readonly diagnose: (text: string) => void;
  /** Fires when the user cancels the job, as in GitLab's user interface. */
  readonly cancel: AbortSignal;
  /** Fires when the user insists. */
  readonly forceCancel: AbortSignal;
  readonly gracefulTimeoutSeconds: number;
  readonly dependencies: readonly JobDependency[];
  /** Where the job's artifacts are to be put. */
  readonly artifactsFile: string;
  readonly sources: (depth: number) => Promise<Sources | undefined>;
  /** Reads a file of the project for a cache key that is made from files. */
  readonly readProjectFile: (path: string) => Buffer | undefined;
  /** Seconds to wait before another attempt to prepare, and before a stage is tried again. */
  readonly waits: { readonly prepare: number; readonly stage: number };
}

/** Why a job does not succeed, in the runner's words. */
export type Failure =
  | Exclude<StageOutcome, { kind: "ok" }>
  | { readonly kind: "canceled" }
  | { readonly kind: "timeout"; readonly message: string };
