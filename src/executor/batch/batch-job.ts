import { type FSWatcher, rmSync, watch } from "node:fs";
import { dirname } from "node:path";
import { JacamarError } from "../../error/error.ts";
import { pause } from "../../process/signals.ts";
import type { JobFiles } from "./job-file.ts";
import { formatDuration, JobWatch, type Patience, type Verdict } from "./job-watch.ts";
import { OutputFile, type OutputTrouble } from "./output-file.ts";
import type { QueueBoard } from "./queue-board.ts";
import type { CallScheduler, QueueState, Scheduler, SchedulerId, Submission } from "./scheduler.ts";
import { type JobStatus, readJobStart, readJobStatus } from "./status-file.ts";

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
  /** What the job file left; undefined when the scheduler has ended the job before it could. */
  readonly status: JobStatus | undefined;
  /** How the scheduler says that it ended, where that was asked: without a status, or when the job was told to end. */
  readonly state: (QueueState & { readonly kind: "ended" }) | undefined;
  readonly stopped: boolean;
  readonly queueMilliseconds: number | undefined;
  readonly nodes: string | undefined;
}

/**
 * Submits a job and follows it to its end: what it prints is passed on as it comes, and the log is told what the scheduler
 * does with it. When the stage is to end, the job is ended and verified to be gone.
 *
 * Throws `batch_refused`, `scheduler_unavailable`, `queue_timeout`, or `batch_left` when the job could not be ended.
 */
export async function runBatchJob(submission: Submission, tools: BatchTools): Promise<BatchEnd> {
  const { scheduler, board, say } = tools;
  const id = await submit(submission, tools);
  say(`Submitted as ${scheduler.title} job ${id} (${submission.name})`);
  board?.note(id);
  try {
    return await new Follower(id, submission.name, tools).follow();
  } finally {
    board?.close();
  }
}

const lookAgainMilliseconds = [0, 500, 1500, 3000];

/** A submission without an answer may have been accepted: then the job is found by its name. */
async function submit(submission: Submission, tools: BatchTools): Promise<SchedulerId> {
  const { scheduler, call, userName } = tools;
  const submitted = await scheduler.submit(submission, call);
  if (submitted.kind === "accepted") return submitted.id;
  if (submitted.kind === "refused") {
    throw new JacamarError("batch_refused", `${scheduler.title} refused the job:\n${submitted.said}`, {
      hint: "Check the arguments that the job asks for: account, queue or partition, time, nodes.",
    });
  }
  for (const wait of lookAgainMilliseconds) {
    await pause(wait);
    const [id] = (await scheduler.find(submission.name, userName, call)) ?? [];
    if (id !== undefined) return id;
  }
  throw new JacamarError(
    "scheduler_unavailable",
    `${scheduler.title} did not say whether it has taken the job: ${submitted.said}`,
    { hint: "Retry the job. If it stays, show this line to the administrators." },
  );
}

const notices: Readonly<Record<OutputTrouble, string>> = {
  truncated: "The output file of the job was emptied while it ran: some output may be missing",
  replaced: "The output file of the job was replaced while it ran: some output may be missing",
  deleted: "The output file of the job was deleted while it ran: some output may be missing",
};

class Follower {
  readonly #id: SchedulerId;
  readonly #name: string;
  readonly #tools: BatchTools;
  readonly #watch: JobWatch;
  readonly #output: OutputFile;
  readonly #tick: Ticker;
  #asking: Promise<void> | undefined;
  #lineOpen = false;

  constructor(id: SchedulerId, name: string, tools: BatchTools) {
    this.#id = id;
    this.#name = name;
    this.#tools = tools;
    this.#watch = new JobWatch(`${tools.scheduler.title} job ${id}`, tools.patience, now());
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
        if (stop.aborted) return await this.#stop();
        const status = this.#look();
        const end = status && (await this.#over(status));
        if (end) return end;
        const verdict = this.#watch.verdict(now());
        if (verdict) return await this.#decided(verdict);
        this.#ask();
        await this.#tick.wait(stop);
      }
    } finally {
      this.#tick.close();
      this.#output.end();
    }
  }

  /** Passes on what is new; returns the job's status once it is there. */
  #look(): JobStatus | undefined {
    const { files } = this.#tools;
    const start = readJobStart(files.started);
    if (start) this.#sayAll(this.#watch.begun(start, now()));
    // Before the output: what the status counts has been written by then.
    const status = readJobStatus(files.status);
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
      state = await (this.#watch.confirming ? this.#askDirectly() : this.#askBoard());
    } catch (error) {
      state = { kind: "unknown", said: wordsOf(error) };
    }
    this.#asking = undefined;
    this.#sayAll(this.#watch.answered(state, now()));
    this.#tick.wake();
  }

  #askBoard(): Promise<QueueState> {
    const { board, scheduler, call, stop } = this.#tools;
    if (!board) return this.#askDirectly();
    return board.ask(this.#id, this.#watch.oldestAnswerMilliseconds, (ids) => scheduler.ask(ids, call), stop);
  }

  async #askDirectly(): Promise<QueueState> {
    const states = await this.#tools.scheduler.ask([this.#id], this.#tools.call);
    return states.get(this.#id) ?? { kind: "unknown", said: "the answer does not name the job" };
  }

  /** The script has ended: the rest of its output may come late on a shared file system. Undefined when the job goes on. */
  async #over(status: JobStatus): Promise<BatchEnd | undefined> {
    await this.#readTo(status.bytes, this.#tools.patience.filesMilliseconds);
    // A script that was told to end, or killed: the scheduler knows why.
    if (status.signal === undefined && status.script !== 137) return this.#end(status, undefined, false);
    const state = await this.#askEnd();
    if (state?.kind !== "pending") return this.#end(status, state?.kind === "ended" ? state : undefined, false);
    // Requeued: the end was one of this start alone.
    rmSync(this.#tools.files.status, { force: true });
    this.#sayAll(this.#watch.answered(state, now()));
    this.#tick.flows();
    return undefined;
  }

  async #readTo(bytes: number, patienceMilliseconds: number): Promise<void> {
    const deadline = now() + patienceMilliseconds;
    let wait = 20;
    this.#output.read();
    while (this.#output.bytes < bytes && now() < deadline) {
      await pause(wait, this.#tools.stop);
      wait = Math.min(wait * 2, 500);
      if (this.#output.read() > 0) wait = 20;
      if (this.#tools.stop.aborted) return;
    }
    const missing = bytes - this.#output.bytes;
    if (missing > 0) this.#say(`WARNING: ${missing} bytes of the job's output did not appear in time`);
  }

  /** What the scheduler makes of a job whose script has ended; waits a little for it to know. */
  async #askEnd(): Promise<QueueState | undefined> {
    const deadline = now() + 10_000;
    while (now() < deadline && !this.#tools.stop.aborted) {
      const state = await this.#askDirectly();
      if (state.kind !== "running") return state;
      await pause(500, this.#tools.stop);
    }
    return undefined;
  }

  async #decided(verdict: Verdict): Promise<BatchEnd> {
    if (verdict.kind === "queue-timeout") {
      await this.#endJob();
      throw new JacamarError(
        "queue_timeout",
        `${this.#tools.scheduler.title} job ${this.#id} waited longer than ${formatDuration(verdict.seconds * 1000)} in the queue, and was taken back`,
        {
          hint: "The administrator sets this limit with queue_timeout in [batch]. Retry the job when the queue is shorter.",
        },
      );
    }
    return this.#end(this.#look(), verdict.state, false);
  }

  async #stop(): Promise<BatchEnd> {
    await this.#endJob();
    const status = this.#look();
    if (status) await this.#readTo(status.bytes, 2000);
    return this.#end(status, undefined, true);
  }

  #end(status: JobStatus | undefined, state: BatchEnd["state"], stopped: boolean): BatchEnd {
    const { queueMilliseconds, nodes } = this.#watch;
    return { id: this.#id, status, state, stopped, queueMilliseconds, nodes };
  }

  /** Ends the job: gently when it runs, then by force; what it prints meanwhile is passed on. */
  async #endJob(): Promise<void> {
    const { scheduler, call, files, killTimeoutSeconds } = this.#tools;
    if (this.#watch.running && readJobStatus(files.status) === undefined) {
      const deadline = now() + killTimeoutSeconds * 1000;
      await scheduler.terminate(this.#id, call);
      while (this.#look() === undefined && now() < deadline) {
        await pause(100);
        if (!this.#watch.running) break;
      }
    }
    await cancelAndVerify(
      { ids: [this.#id], name: this.#name, scheduler, call, userName: this.#tools.userName },
      () => void this.#look(),
    );
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

/** What is to be ended. */
export interface Cancellation {
  /** Jobs that are known. More may be found by the name. */
  readonly ids: readonly SchedulerId[];
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly call: CallScheduler;
  readonly userName: string;
}

const cancelSeconds = 90;

/**
 * Cancels the user's jobs of a name, and those that are known, until the scheduler says that none is left. Returns how many there were.
 * Throws `batch_left` when it does not say so in time.
 */
export async function cancelAndVerify(what: Cancellation, onLook: () => void): Promise<number> {
  const { scheduler, call } = what;
  const deadline = now() + cancelSeconds * 1000;
  const cancelled = new Set<SchedulerId>();
  let left: readonly SchedulerId[] | undefined = what.ids;
  let wait = 100;
  for (;;) {
    for (const id of left ?? []) {
      await scheduler.cancel(id, call);
      cancelled.add(id);
    }
    await pause(wait);
    wait = Math.min(wait * 2, 2000);
    onLook();
    left = await scheduler.find(what.name, what.userName, call);
    if (left?.length === 0) return cancelled.size;
    if (now() > deadline) break;
  }
  const which = left === undefined ? `${scheduler.title} does not answer` : `still there: ${left.join(", ")}`;
  throw new JacamarError("batch_left", `The ${scheduler.title} job "${what.name}" could not be ended: ${which}`, {
    hint: "Cancel it by hand, or ask the administrators to.",
  });
}

/**
 * Wakes a loop when files change, and now and then: changes that another machine makes are not reported here, so there a
 * look is the only way.
 */
class Ticker {
  readonly #watchers: FSWatcher[] = [];
  #milliseconds = fastMilliseconds;
  #wake: AbortController = new AbortController();

  constructor(files: readonly string[]) {
    const directories = [...new Set(files.map((file) => dirname(file)))];
    for (const directory of directories) {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.wake());
        watcher.on("error", () => watcher.close());
        this.#watchers.push(watcher);
      } catch {
        // All watches of the user may be in use; looking now and then is enough.
      }
    }
  }

  /** There is output: more may come soon. */
  flows(): void {
    this.#milliseconds = fastMilliseconds;
  }

  wake(): void {
    this.#wake.abort();
  }

  async wait(stop: AbortSignal): Promise<void> {
    const woken = this.#wake.signal;
    await pause(this.#milliseconds, AbortSignal.any([woken, stop]));
    if (woken.aborted) {
      // Many small writes make one look.
      this.#wake = new AbortController();
      await pause(settleMilliseconds);
    }
    this.#milliseconds = Math.min(this.#milliseconds * 1.5, slowMilliseconds);
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.close();
  }
}

const fastMilliseconds = 100;
const settleMilliseconds = 10;
const slowMilliseconds = 1000;

function now(): number {
  return performance.now();
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
