import type { OwnArguments } from "./own-arguments.ts";

/** A scheduler's name for a job of its own. It stands on command lines, so each scheduler checks its form. */
export type SchedulerId = string & { readonly __brand: "SchedulerId" };

/** What a program of the scheduler answered. */
export interface Answer {
  /** Undefined when it was killed: it did not answer in time, or the stage is to end. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** How long one call may go on. */
export interface CallLimit {
  readonly seconds?: number;
  /** Ends it when it fires. */
  readonly stop?: AbortSignal;
}

/**
 * Calls a program of the scheduler by its bare name. One that takes too long is killed, and has no exit code.
 * Throws `scheduler_unavailable` when there is no such program.
 */
export type CallScheduler = (argv: readonly [string, ...string[]], limit?: CallLimit) => Promise<Answer>;

/** How a scheduler says that a job has ended for good. */
export type End =
  | "completed"
  | "failed"
  | "cancelled"
  | "time-limit"
  | "memory-limit"
  | "node-failure"
  | "preempted"
  /** Ended, in a way that this program has no word for. */
  | "other";

/**
 * What a scheduler says of a job. Only `ended` is an end, and only a definite word of the scheduler makes one: no answer,
 * an answer that cannot be read, or a job that it has forgotten is `unknown`.
 */
export type QueueState =
  | {
      readonly kind: "pending";
      /** The scheduler's own word for why. */
      readonly reason?: string | undefined;
      readonly estimatedStart?: string | undefined;
      /** Place in the queue, 1 for the next, where the scheduler knows it. */
      readonly position?: number | undefined;
    }
  | { readonly kind: "running"; readonly nodes?: string | undefined }
  | {
      readonly kind: "ended";
      readonly end: End;
      /** The scheduler's own words. */
      readonly said: string;
      /** Exit code of the job file, where it is known. */
      readonly exitCode?: number | undefined;
    }
  | { readonly kind: "unknown"; readonly said: string };

/** Whose a job is that calls itself so. */
export type Identity =
  /** The scheduler says that it is the user's, and has the name. */
  | "ours"
  /** It is another's, or another one of the user's. */
  | "another"
  /** The scheduler does not answer, or has forgotten it. */
  | "unknown";

/** What the scheduler made of a submission. */
export type Submitted =
  | { readonly kind: "accepted"; readonly id: SchedulerId }
  /** It will not take this job, whoever asks again. `said` is its own message. */
  | { readonly kind: "refused"; readonly said: string }
  /** Nobody knows whether it has the job. */
  | { readonly kind: "unanswered"; readonly said: string };

/** A job to submit. */
export interface Submission {
  /** By which it is found again, whatever became of the submission. */
  readonly name: string;
  /** The job file: a script for sh(1). */
  readonly jobFile: string;
  /** What the scheduler itself has to say goes there; the script's own output does not. */
  readonly logFile: string;
  /** The user's, checked. */
  readonly userArguments: readonly string[];
}

/**
 * A scheduler, as far as schedulers differ. All else (the job file, following it, ending it) is written once; a further
 * scheduler is one more such value.
 *
 * What a method returns is decided by what the programs answer. None throws for a scheduler that is away.
 */
export interface Scheduler {
  /** As the job log calls it. */
  readonly title: string;
  /** The arguments that users may not give, because this program does. */
  readonly ownArguments: OwnArguments;
  /** Variables by which a submission would be changed in what is ours: nobody's are passed on. */
  readonly ownVariables?: readonly string[];
  /** Beginnings of the names of the variables by which it is configured, and by which it tells a job its surroundings. */
  readonly variablePrefixes: readonly string[];
  /** What stands in the log of any job that failed, and tells nothing; with the flags `g` and `m`. */
  readonly ordinary?: RegExp;
  /** Bash that prints the names of the job's nodes on one line; it runs in the job. */
  readonly nodeList: string;
  /**
   * By what the control group of a job is known, in double quotes of Bash, where the scheduler can make one for each: `/`, the
   * beginning of the directory's name, and `/` when that is all of it (see `job-memory.ts`).
   */
  readonly memoryGroup: string;
  /** What the scheduler calls the job, in double quotes of any sh, in the job's own environment; nothing where it does not tell. */
  readonly ownId: string;
  submit(submission: Submission, call: CallScheduler): Promise<Submitted>;
  /** Asks for many jobs at once. A job that the answer does not name is `unknown`. */
  ask(ids: readonly SchedulerId[], call: CallScheduler): Promise<ReadonlyMap<SchedulerId, QueueState>>;
  /** The user's jobs of that name that have not ended; undefined when the scheduler did not say. */
  find(name: string, userName: string, call: CallScheduler): Promise<readonly SchedulerId[] | undefined>;
  /** The same, and those that have ended of which the scheduler still knows. */
  findEnded(name: string, userName: string, call: CallScheduler): Promise<readonly SchedulerId[] | undefined>;
  /** Reads what a job has left of its `ownId`. It could be anybody's word: undefined for what is no id in the scheduler's form. */
  readOwnId(text: string): SchedulerId | undefined;
  /** Whether a job is the one of that name, also when it has ended. */
  identify(id: SchedulerId, name: string, userName: string, call: CallScheduler): Promise<Identity>;
  /** Tells the job file to end what it runs (SIGTERM, SIGHUP or the soft signal); nothing is ended by force. */
  terminate(id: SchedulerId, call: CallScheduler): Promise<void>;
  /** Ends the job, whatever its state. */
  cancel(id: SchedulerId, call: CallScheduler): Promise<void>;
  /** How jobs run as steps of an allocation that one of them took; absent where they cannot. */
  readonly steps?: Steps;
}

/** How a scheduler runs a program in what a running job of the user has been given. */
export interface Steps {
  /** The `memoryGroup` of a step alone, without the other steps of its allocation; absent where a step has no group of its own. */
  readonly memoryGroup?: string;
  /** The command that runs a job file there, under that name, and ends when it does. */
  run(allocation: SchedulerId, name: string, jobFile: string): StepCommand;
  /** The steps of that name in the user's jobs; undefined when the scheduler did not say. */
  find(name: string, userName: string, call: CallScheduler): Promise<readonly SchedulerId[] | undefined>;
  /** Sends SIGTERM to what the step runs. */
  terminate(step: SchedulerId, call: CallScheduler): Promise<void>;
  /** Ends a step by force. */
  cancel(step: SchedulerId, call: CallScheduler): Promise<void>;
}

export interface StepCommand {
  readonly argv: readonly [string, ...string[]];
  /** Further variables for the command, which the step inherits. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * What a submitting program answered, by the ids in its output. Sites put scripts of their own in front of it, which print more lines, to
 * either stream and before or after it: one of them could look like an id, so with two nobody knows. Half of an id looks like one, too,
 * but its line has no end. A program that failed after it had printed an id may have submitted the job all the same.
 *
 * @param away words of standard error with which the scheduler says that it cannot be reached, or cannot now.
 */
export function readSubmitted(
  answer: Answer,
  toId: (line: string) => SchedulerId | undefined,
  away: RegExp,
): Submitted {
  const lines = answer.stdout.split("\n").slice(0, -1);
  const ids = new Set(lines.flatMap((line) => toId(line.trim()) ?? []));
  const [id] = ids;
  if (answer.exitCode === 0 && id !== undefined && ids.size === 1) return { kind: "accepted", id };
  const failed = answer.exitCode !== undefined && answer.exitCode !== 0 && id === undefined;
  const isRefused = failed && answer.stderr.trim() !== "" && !away.test(answer.stderr);
  return { kind: isRefused ? "refused" : "unanswered", said: said(answer) };
}

/** The last lines of what a program said, for a message: standard error, or else standard output. */
export function said(answer: Answer): string {
  const text = answer.stderr.trim() === "" ? answer.stdout : answer.stderr;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) {
    return answer.exitCode === undefined ? "no answer in time" : `no message, exit code ${answer.exitCode}`;
  }
  return lines.slice(-5).join("\n").slice(-2000);
}
