import type { QueueState } from "./scheduler.ts";
import type { JobStart } from "./status-file.ts";

/** How often, and for how long. */
export interface Patience {
  /** Longest time between two questions to the scheduler (`command_delay`). */
  readonly askMilliseconds: number;
  /** How late a shared file system may show a file (`nfs_timeout`). */
  readonly filesMilliseconds: number;
  /** How long the job may wait in the queue (`queue_timeout`); undefined for ever. */
  readonly queueMilliseconds: number | undefined;
}

/** What has become clear of a job without an exit status. */
export type Verdict =
  /** The scheduler has said twice, and a shared file system has had its time between, that the job ended. */
  | { readonly kind: "ended"; readonly state: QueueState & { readonly kind: "ended" } }
  | { readonly kind: "queue-timeout"; readonly seconds: number };

const firstAskMilliseconds = 1000;
const stillWaitingMilliseconds = 5 * 60_000;

/**
 * What is known of a job in the queue, and what the log is told of it: it decides, and does nothing. All times are those of one
 * clock, in milliseconds.
 */
export class JobWatch {
  readonly #title: string;
  readonly #patience: Patience;
  /** Since when it has been waiting, or had been when it began. */
  #waitsSince: number;
  /** How long it had waited before, when it was requeued. */
  #waitedBefore = 0;
  #interval = firstAskMilliseconds;
  #askAt: number;
  #start: JobStart | undefined;
  #startedAt: number | undefined;
  #toldStart = false;
  #shown = "";
  #shownAt: number;
  #unknownSince: number | undefined;
  #endedAt: number | undefined;
  /** The scheduler says that it waits again, though it runs. */
  #inDoubt = false;
  #verdict: Verdict | undefined;

  /** @param title of the job in the log, such as `Slurm job 4`. */
  constructor(title: string, patience: Patience, now: number) {
    this.#title = title;
    this.#patience = patience;
    this.#waitsSince = now;
    this.#shownAt = now;
    this.#askAt = now + firstAskMilliseconds;
  }

  /** Whether the job has begun, as far as anybody knows. */
  get running(): boolean {
    return this.#startedAt !== undefined;
  }

  /** How long it waited in the queue, each time that it did; undefined while it does. */
  get queueMilliseconds(): number | undefined {
    return this.#startedAt === undefined ? undefined : this.#waitedBefore + this.#startedAt - this.#waitsSince;
  }

  get nodes(): string | undefined {
    return this.#start?.nodes;
  }

  /** When the scheduler should be asked next. */
  get askAt(): number {
    return this.#askAt;
  }

  /** How old an answer may be; 0 where it decides, so that it must be of this moment. */
  get oldestAnswerMilliseconds(): number {
    return this.#endedAt === undefined && !this.#inDoubt ? this.#interval * 0.9 : 0;
  }

  /** The job file has said that it runs. Returns what the log is told. */
  begun(start: JobStart, now: number): string[] {
    if (this.#start?.beganSeconds === start.beganSeconds) return [];
    const again = this.#start !== undefined;
    this.#start = start;
    this.#endedAt = undefined;
    this.#inDoubt = false;
    const nodes = start.nodes === "" ? "" : ` on ${start.nodes}`;
    this.#startedAt ??= now;
    this.#interval = this.#patience.askMilliseconds;
    this.#askAt = now + this.#interval;
    if (again) return this.#show(`${this.#title} was requeued, and has started again${nodes}`, now);
    return this.#tellStart(nodes, this.#startedAt, now);
  }

  /** The job has printed something: it lives, and nobody needs to be asked. */
  printed(now: number): void {
    if (this.#endedAt === undefined && !this.#inDoubt)
      this.#askAt = Math.max(this.#askAt, now + this.#patience.askMilliseconds);
  }

  /** The scheduler has answered. Returns what the log is told. */
  answered(state: QueueState, now: number): string[] {
    this.#interval = Math.min(this.#interval * 2, this.#patience.askMilliseconds);
    this.#askAt = now + this.#interval;
    if (state.kind === "unknown") return this.#unknown(state.said, now);
    this.#unknownSince = undefined;
    if (state.kind === "ended") return this.#ended(state, now);
    this.#endedAt = undefined;
    if (state.kind === "running") this.#inDoubt = false;
    return state.kind === "pending" ? this.#pending(state, now) : this.#runs(state.nodes, now);
  }

  /** What is clear by now; undefined as long as the job goes on. */
  verdict(now: number): Verdict | undefined {
    const limit = this.#patience.queueMilliseconds;
    const waited = now - this.#waitsSince;
    if (this.#verdict === undefined && !this.running && limit !== undefined && waited > limit) {
      this.#verdict = { kind: "queue-timeout", seconds: limit / 1000 };
    }
    return this.#verdict;
  }

  #pending(state: QueueState & { kind: "pending" }, now: number): string[] {
    if (this.#startedAt !== undefined) {
      if (!this.#inDoubt) {
        // The question may have been asked before the start that the job file has told: it is asked once more.
        this.#inDoubt = true;
        this.#askAt = now + firstAskMilliseconds;
        return [];
      }
      // Requeued: it waits once more, and its next start is another one.
      this.#inDoubt = false;
      this.#waitedBefore += this.#startedAt - this.#waitsSince;
      this.#waitsSince = now;
      this.#startedAt = undefined;
      this.#interval = firstAskMilliseconds;
      this.#askAt = now + this.#interval;
      this.#toldStart = false;
      this.#show(`${this.#title} waits in the queue${because(state)}`, now);
      return [`${this.#title} was requeued and waits again${because(state)}`];
    }
    const line = `${this.#title} waits in the queue${because(state)}`;
    if (line !== this.#shown) return this.#show(line, now);
    if (now - this.#shownAt < stillWaitingMilliseconds) return [];
    this.#shownAt = now;
    return [`${line.replace(" waits", " still waits")}, since ${formatDuration(now - this.#waitsSince)}`];
  }

  #runs(nodes: string | undefined, now: number): string[] {
    if (this.running) return [];
    this.#startedAt = now;
    this.#interval = this.#patience.askMilliseconds;
    this.#askAt = now + this.#interval;
    return this.#tellStart(nodes === undefined ? "" : ` on ${nodes}`, now, now);
  }

  #tellStart(nodes: string, startedAt: number, now: number): string[] {
    if (this.#toldStart) return [];
    this.#toldStart = true;
    const waited = formatDuration(startedAt - this.#waitsSince);
    return this.#show(`${this.#title} has started${nodes} after ${waited} in the queue`, now);
  }

  /** The exit status may come late. Asked once more when it has had its time, the scheduler must say the same. */
  #ended(state: QueueState & { kind: "ended" }, now: number): string[] {
    if (this.#endedAt === undefined) {
      this.#endedAt = now;
      this.#askAt = now + this.#patience.filesMilliseconds;
      return [];
    }
    if (now - this.#endedAt < this.#patience.filesMilliseconds) return [];
    this.#verdict = { kind: "ended", state };
    return [];
  }

  #unknown(said: string, now: number): string[] {
    this.#unknownSince ??= now;
    if (now - this.#unknownSince < this.#patience.askMilliseconds && this.#shown !== "") return [];
    const words = said.split("\n").at(-1) ?? said;
    const line = `Nobody knows what ${this.#title} does: ${words}. The runner goes on waiting for its exit status`;
    if (line === this.#shown && now - this.#shownAt < stillWaitingMilliseconds) return [];
    return this.#show(line, now);
  }

  #show(line: string, now: number): string[] {
    this.#shown = line;
    this.#shownAt = now;
    return [line];
  }
}

function because(state: QueueState & { kind: "pending" }): string {
  const parts = [
    ...(state.reason === undefined ? [] : [state.reason]),
    ...(state.position === undefined ? [] : [`position ${state.position}`]),
    ...(state.estimatedStart === undefined ? [] : [`estimated start ${state.estimatedStart}`]),
  ];
  return parts.length === 0 ? "" : `: ${parts.join(", ")}`;
}

/** A length of time for people: `3m12s`, `2h05m`. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds}s`;
  const two = (value: number) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  return `${Math.floor(seconds / 3600)}h${two(Math.floor((seconds % 3600) / 60))}m`;
}
