import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { pause } from "../../process/signals.ts";
import { lookAnew } from "../../workspace/look-anew.ts";
import { writeNew } from "../../workspace/script-files.ts";
import type { BatchEnd, BatchTools, Handle } from "./following.ts";
import { JobWatch, type Verdict } from "./job-watch.ts";
import { OutputFile, type OutputTrouble } from "./output-file.ts";
import { queueTimeout } from "./queue-timeout.ts";
import type { QueueState } from "./scheduler.ts";
import { type JobStatus, readJobStart, readJobStatus } from "./status-file.ts";
import { Ticker } from "./ticker.ts";

const notices: Readonly<Record<OutputTrouble, string>> = {
  truncated: "The output file of the job was emptied while it ran: some output may be missing",
  replaced: "The output file of the job was replaced while it ran: some output may be missing",
  deleted: "The output file of the job was deleted while it ran: some output may be missing",
};

/** How late the last bytes of a job that was ended may come, and how long reading what it left may take. */
const lateMilliseconds = 2000;
const restMilliseconds = 10_000;

/** Follows something that a scheduler runs to its end: by its files, and now and then by the scheduler's word. */
export class Follower {
  readonly #handle: Handle;
  readonly #tools: BatchTools;
  readonly #watch: JobWatch;
  readonly #output: OutputFile;
  readonly #tick: Ticker;
  #asking: Promise<void> | undefined;
  #lineOpen = false;
  #abandoned = false;

  constructor(handle: Handle, tools: BatchTools) {
    this.#handle = handle;
    this.#tools = tools;
    this.#watch = new JobWatch(handle.title, tools.patience, now());
    this.#output = new OutputFile(
      tools.files.output,
      (chunk) => {
        this.#lineOpen = chunk.at(-1) !== 10;
        tools.sink(chunk);
      },
      (trouble) => this.#say(`WARNING: ${notices[trouble]}`),
    );
    this.#tick = new Ticker([tools.files.output, tools.files.status]);
  }

  async follow(): Promise<BatchEnd> {
    const { stop } = this.#tools;
    try {
      for (;;) {
        if (this.#abandoned) return this.#end(undefined, undefined, false);
        if (stop.aborted) return await this.#stop();
        const status = this.#look();
        const end = status && (await this.#over(status));
        if (end) return end;
        const verdict = this.#watch.verdict(now());
        if (verdict) return await this.#decided(verdict);
        this.#ask();
        // Signals and answers come in between, however much there is to read.
        await (this.#output.behind ? setImmediate() : this.#tick.wait(stop));
      }
    } finally {
      this.#tick.close();
      this.#output.end();
    }
  }

  /** Lets go of what is followed: nothing more is looked at, and nothing is ended. */
  abandon(): void {
    this.#abandoned = true;
    this.#tick.wake();
  }

  /** Passes on what is new; returns the job's status once it is there. */
  #look(): JobStatus | undefined {
    const { files } = this.#tools;
    lookAnew(dirname(files.status));
    // First of all: what it counts has been written by then, and a job that was short has begun.
    const status = readJobStatus(files.status);
    const start = readJobStart(files.started);
    if (start) this.#sayAll(this.#watch.begun(start, now()));
    if (this.#output.read() > 0) {
      this.#watch.printed(now());
      this.#tick.flows();
    }
    return status;
  }

  /** Asks the scheduler when it is time, without holding up the output. */
  #ask(): void {
    if (this.#asking || now() < this.#watch.askAt) return;
    this.#asking = this.#askNow();
  }

  async #askNow(): Promise<void> {
    let state: QueueState;
    try {
      state = await this.#handle.ask(this.#watch.oldestAnswerMilliseconds);
    } catch (error) {
      state = { kind: "unknown", said: wordsOf(error) };
    }
    this.#asking = undefined;
    this.#sayAll(this.#watch.answered(state, now()));
    this.#tick.wake();
  }

  /** The script has ended: the rest of its output may come late on a shared file system. Undefined when the job goes on. */
  async #over(status: JobStatus): Promise<BatchEnd | undefined> {
    await this.#readTo(status.bytes, this.#tools.patience.filesMilliseconds);
    // A script that was told to end, or killed: the scheduler knows why.
    if (status.signal === undefined && status.script !== 137) return this.#end(status, undefined, false);
    const state = await this.#askEnd(status);
    if (this.#hasBegunAgain(status)) return undefined;
    if (state?.kind !== "pending") return this.#end(status, state?.kind === "ended" ? state : undefined, false);
    // Requeued: the end was one of this start alone.
    rmSync(this.#tools.files.status, { force: true });
    this.#sayAll(this.#watch.answered(state, now()));
    this.#tick.flows();
    return undefined;
  }

  /** Reads on until so many bytes have come, as long as some come within the patience, or the stage is to end. */
  async #readTo(bytes: number, patienceMilliseconds: number): Promise<void> {
    const { stop } = this.#tools;
    let deadline = now() + patienceMilliseconds;
    let most = -1;
    let wait = 20;
    for (;;) {
      this.#output.read();
      if (this.#output.bytes >= bytes) return;
      if (this.#output.bytes > most) {
        most = this.#output.bytes;
        deadline = now() + patienceMilliseconds;
        wait = 20;
      }
      if (stop.aborted) return;
      if (now() > deadline) break;
      await (this.#output.behind ? setImmediate() : pause(wait, stop));
      wait = Math.min(wait * 2, 500);
    }
    this.#say(`WARNING: ${bytes - this.#output.bytes} bytes of the job's output did not appear in time`);
  }

  /** Reads what is left of a job that is over, and no longer than a job that is to end may take. */
  async #readRest(bytes: number | undefined): Promise<void> {
    const deadline = now() + (bytes === undefined ? 0 : lateMilliseconds);
    const end = now() + restMilliseconds;
    while (now() < end) {
      const count = this.#output.read();
      if (bytes !== undefined && this.#output.bytes >= bytes) return;
      if (count === 0 && now() > deadline) return;
      await (this.#output.behind ? setImmediate() : pause(20));
    }
  }

  /** Requeued, and so quickly that the scheduler did not tell: the status is not there any more, or is that of an earlier start. */
  #hasBegunAgain({ beganSeconds }: JobStatus): boolean {
    const { files } = this.#tools;
    const start = readJobStart(files.started);
    return readJobStatus(files.status) === undefined || (start !== undefined && start.beganSeconds > beganSeconds);
  }

  /** What the scheduler makes of a job whose script has ended; waits a little for it to know. */
  async #askEnd(status: JobStatus): Promise<QueueState | undefined> {
    const deadline = now() + 10_000;
    while (now() < deadline && !this.#tools.stop.aborted && !this.#hasBegunAgain(status)) {
      const state = await this.#handle.ask(0, (deadline - now()) / 1000);
      if (state.kind !== "running") return state;
      await pause(500, this.#tools.stop);
    }
    return undefined;
  }

  async #decided(verdict: Verdict): Promise<BatchEnd> {
    if (verdict.kind === "queue-timeout") {
      await this.#endJob();
      throw queueTimeout(this.#handle.title, verdict.seconds);
    }
    const status = this.#look();
    await this.#readRest(status?.bytes);
    return this.#end(status, verdict.state, false);
  }

  async #stop(): Promise<BatchEnd> {
    await this.#endJob();
    const status = this.#look();
    await this.#readRest(status?.bytes);
    return this.#end(status, undefined, true);
  }

  #end(status: JobStatus | undefined, state: BatchEnd["state"], stopped: boolean): BatchEnd {
    const { queueMilliseconds, nodes } = this.#watch;
    return { id: this.#handle.id, title: this.#handle.title, status, state, stopped, queueMilliseconds, nodes };
  }

  /** Ends the job: gently when it runs, then by force; what it prints meanwhile is passed on. */
  async #endJob(): Promise<void> {
    const { files, killTimeoutSeconds } = this.#tools;
    if (this.#watch.running && readJobStatus(files.status) === undefined) {
      const deadline = now() + killTimeoutSeconds * 1000;
      this.#allowWholeGrace();
      // A program that hangs holds up neither the output nor the end.
      this.#handle.terminate(killTimeoutSeconds).catch(() => undefined);
      while (this.#look() === undefined && now() < deadline) {
        await pause(100);
        if (!this.#watch.running) break;
      }
    }
    await this.#handle.end(() => void this.#look());
  }

  /** Where that cannot be said, on a full disk, the job file believes that it has less time; it is ended all the same. */
  #allowWholeGrace(): void {
    try {
      writeNew(this.#tools.files.stopping, "", 0o600);
    } catch {
      // Told below as it would be by the scheduler.
    }
  }

  #sayAll(lines: readonly string[]): void {
    for (const line of lines) this.#say(line);
  }

  /** A line of ours never stands in the middle of one of the script's. */
  #say(line: string): void {
    if (this.#lineOpen) this.#tools.sink(Buffer.from("\n"));
    this.#lineOpen = false;
    this.#tools.say(line);
  }
}

function now(): number {
  return performance.now();
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
