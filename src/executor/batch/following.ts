import type { JobFiles } from "./job-file.ts";
import type { Patience } from "./job-watch.ts";
import type { QueueBoard } from "./queue-board.ts";
import type { CallScheduler, QueueState, Scheduler, SchedulerId } from "./scheduler.ts";
import type { JobStatus } from "./status-file.ts";

/** What following a job of a scheduler needs. */
export interface BatchTools {
  readonly scheduler: Scheduler;
  readonly call: CallScheduler;
  /** Where the user's drivers share answers; undefined where there is no place for it. */
  readonly board: QueueBoard | undefined;
  readonly files: JobFiles;
  readonly userName: string;
  readonly patience: Patience;
  /** Longest wait between asking the job to end and ending it by force. */
  readonly killTimeoutSeconds: number;
  /** Tells the job log a line. */
  readonly say: (line: string) => void;
  /** Gets the script's output. */
  readonly sink: (chunk: Uint8Array) => void;
  readonly stop: AbortSignal;
}

/** How a batch job ended, as far as anybody knows. */
export interface BatchEnd {
  readonly id: SchedulerId;
  /** As the log calls it, such as `Slurm job 4`. */
  readonly title: string;
  /** What the job file left; undefined when the scheduler has ended the job before it could. */
  readonly status: JobStatus | undefined;
  /** How the scheduler says that it ended, where that was asked: without a status, or when the job was told to end. */
  readonly state: (QueueState & { readonly kind: "ended" }) | undefined;
  readonly stopped: boolean;
  readonly queueMilliseconds: number | undefined;
  readonly nodes: string | undefined;
}

/** What is followed: a job of the scheduler, or a step of one. */
export interface Handle {
  readonly id: SchedulerId;
  /** As the log calls it, such as `Slurm job 4`. */
  readonly title: string;
  /** What is known of it, by an answer that may be that old, within so many seconds. */
  ask(oldestMilliseconds: number, seconds?: number): Promise<QueueState>;
  /** Tells it to end. Returns when that is told, or the seconds are over. */
  terminate(seconds: number): Promise<void>;
  /** Ends it by force and sees that it is gone. Throws `batch_left`. */
  end(onLook: () => void): Promise<unknown>;
}
