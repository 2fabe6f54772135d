import { spawn } from "node:child_process";
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Cause, Job, JobOutput, JobSpec } from "./job.ts";
import { processesOf, signalAll } from "./processes.ts";

/** What a test may set. */
export interface Settings {
  /** From submission to start, in milliseconds. */
  startMilliseconds: number;
  /** A requeued job waits so long. Slurm's two minutes would be long for a test. */
  requeueMilliseconds: number;
  /** Between the first and the next signal to a job that is to end. */
  killWaitMilliseconds: number;
  /** How long a minute of a time limit is. */
  minuteMilliseconds: number;
  /** How long a job that has ended is known. */
  keepMilliseconds: number;
  /** How many jobs run at a time. */
  slots: number;
  /** PBS: whether the server keeps ended jobs, and whether qstat knows JSON. */
  history: "on" | "off";
  json: "on" | "off";
  /** All jobs wait, for this reason; nothing: they do not. */
  reason: string;
  /** In seconds from now, shown with the reason; 0: unknown. */
  estimateSeconds: number;
}

export const defaultSettings: Readonly<Settings> = {
  startMilliseconds: 300,
  requeueMilliseconds: 1000,
  killWaitMilliseconds: 5000,
  minuteMilliseconds: 60_000,
  keepMilliseconds: 300_000,
  slots: 16,
  history: "on",
  json: "on",
  reason: "",
  estimateSeconds: 0,
};

/** How a scheduler treats its jobs, where schedulers differ. */
export interface Manner {
  /** Signals that end a job, one after the other with the time between them; to all its processes or to the script's group. */
  readonly endBy: readonly { readonly signals: readonly NodeJS.Signals[]; readonly to: "all" | "group" }[];
  /** Environment of a job beside its own. */
  environment(job: Job, nodeName: string): Record<string, string>;
  /** What stands in the job's output when it is ended. */
  lastWords(job: Job, cause: Cause, nodeName: string): string;
  /** What stands before the output of a job that was kept aside. */
  heading(job: Job): string;
  /** What stands at the end of the job's output. */
  report(job: Job): string;
  /** In a path of an output file, what stands for the job's number. */
  expandPath(path: string, job: Job): string;
}

const tickMilliseconds = 25;

/** A machine with a queue: it runs jobs as the user that it runs as itself. What they are called is not its business. */
export class Cluster {
  readonly jobs: Job[] = [];
  readonly settings: Settings = { ...defaultSettings };
  readonly nodeName = "node1";
  readonly #directory: string;
  readonly #manner: Manner;
  readonly #listeners = new Map<Job, (() => void)[]>();
  #ticker: NodeJS.Timeout | undefined;

  constructor(directory: string, manner: Manner) {
    this.#directory = directory;
    this.#manner = manner;
    mkdirSync(`${directory}/spool`, { recursive: true });
  }

  submit(spec: JobSpec): Job {
    const now = Date.now();
    const job: Job = {
      number: this.jobs.length + 1,
      spec,
      submittedAt: now,
      state: "pending",
      held: spec.held,
      reason: undefined,
      estimatedStart: undefined,
      eligibleAt: now + this.settings.startMilliseconds,
      startedAt: undefined,
      endedAt: undefined,
      cause: undefined,
      end: undefined,
      restarts: 0,
      suspended: false,
      forgotten: false,
      child: undefined,
      steps: new Map(),
      nextStep: 0,
      timers: [],
    };
    this.jobs.push(job);
    if (spec.script !== undefined) writeFileSync(this.#scriptOf(job), spec.script, { mode: 0o700 });
    this.#ticker ??= setInterval(() => this.#tick(), tickMilliseconds);
    return job;
  }

  /** A job that is not taken, which uses up a number, and may leave a record. */
  reject(spec: JobSpec, leaves: "a record" | "nothing"): void {
    const job = this.submit({ ...spec, script: undefined });
    job.forgotten = leaves === "nothing";
    this.end(job, "rejected");
  }

  /** The jobs that the controller admits to. */
  get known(): readonly Job[] {
    const oldest = Date.now() - this.settings.keepMilliseconds;
    return this.jobs.filter((job) => !job.forgotten && (job.endedAt ?? Date.now()) >= oldest);
  }

  /** Resolves when the job has ended. */
  ended(job: Job): Promise<void> {
    if (job.state === "ended") return Promise.resolve();
    return new Promise((resolve) => {
      this.#listeners.set(job, [...(this.#listeners.get(job) ?? []), resolve]);
    });
  }

  /** Ends a job as the scheduler does, whatever its state. */
  end(job: Job, cause: Cause): void {
    if (job.state === "pending") {
      if (cause === "requeued") return;
      job.cause = cause;
      this.#over(job, { code: 0, signal: undefined, launchFailed: false });
      return;
    }
    if (job.state !== "running") return;
    job.state = "ending";
    job.cause = cause;
    this.#append(job, this.#manner.lastWords(job, cause, this.nodeName));
    if (cause === "memory-limit" || cause === "node-failure") {
      signalAll(this.#processesOf(job), "SIGKILL");
    } else {
      this.#manner.endBy.forEach(({ signals, to }, index) => {
        const send = () => {
          for (const signal of signals) this.signal(job, signal, to);
        };
        if (index === 0) send();
        else job.timers.push(setTimeout(send, index * this.settings.killWaitMilliseconds));
      });
    }
    if (job.child === undefined) this.#over(job, { code: 0, signal: undefined, launchFailed: false });
  }

  /** Sends a signal to all processes of a job, to the group of its script, or to its shell alone. */
  signal(job: Job, signal: NodeJS.Signals, to: "all" | "group" | "script" | "steps"): void {
    const script = job.child?.pid;
    if (to === "all") signalAll(this.#processesOf(job), signal);
    else if (to === "steps") signalAll(processesOf(stepsOf(job)), signal);
    else if (script !== undefined) signalAll([to === "group" ? -script : script], signal);
  }

  /** Runs a command inside a job that runs, and resolves with its exit code, 128 and the number for a signal. */
  runStep(
    job: Job,
    argv: readonly string[],
    options: {
      readonly name: string;
      readonly environment: Readonly<Record<string, string>>;
      readonly workingDirectory: string;
      readonly onOutput: (stream: "stdout" | "stderr", chunk: Buffer) => void;
      readonly onStart?: (kill: (signal: NodeJS.Signals) => void, step: number) => void;
    },
  ): Promise<{ exitCode: number; signal: NodeJS.Signals | undefined }> {
    const [program = "", ...args] = argv;
    const step = job.nextStep;
    job.nextStep += 1;
    return new Promise((resolve) => {
      const child = spawn(program, args, {
        cwd: options.workingDirectory,
        env: { ...options.environment, ...this.#manner.environment(job, this.nodeName) },
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      });
      job.steps.set(step, { name: options.name, child });
      child.stdout.on("data", (chunk: Buffer) => options.onOutput("stdout", chunk));
      child.stderr.on("data", (chunk: Buffer) => options.onOutput("stderr", chunk));
      const done = (exitCode: number, signal: NodeJS.Signals | undefined) => {
        job.steps.delete(step);
        resolve({ exitCode, signal });
      };
      child.once("error", () => done(2, undefined));
      child.once("close", (code, signal) => done(code ?? 0, signal ?? undefined));
      options.onStart?.((signal) => signalAll(child.pid === undefined ? [] : processesOf([child.pid]), signal), step);
    });
  }

  /** Kills all that runs: the end of a test. */
  killAll(): void {
    clearInterval(this.#ticker);
    for (const job of this.jobs) signalAll(this.#processesOf(job), "SIGKILL");
  }

  #tick(): void {
    const now = Date.now();
    const { reason, estimateSeconds, slots } = this.settings;
    let free = slots - this.jobs.filter(({ state }) => state === "running" || state === "ending").length;
    let first = true;
    for (const job of this.jobs) {
      if (job.state !== "pending") continue;
      const waits = job.held !== undefined || reason !== "" || now < job.eligibleAt || free <= 0;
      if (!waits) {
        free -= 1;
        this.#start(job);
        continue;
      }
      job.estimatedStart = undefined;
      if (job.held !== undefined) job.reason = job.held;
      else if (reason !== "") {
        job.reason = reason;
        if (estimateSeconds > 0) job.estimatedStart ??= now + estimateSeconds * 1000;
      } else if (job.restarts > 0 && now < job.eligibleAt) {
        job.reason = "requeued";
        job.estimatedStart = job.eligibleAt;
      } else if (free <= 0) {
        job.reason = first ? "resources" : "priority";
        first = false;
      } else job.reason = undefined;
    }
  }

  #start(job: Job): void {
    const { spec } = job;
    job.state = "running";
    job.reason = undefined;
    job.estimatedStart = undefined;
    job.startedAt = Date.now();
    if (spec.timeLimitSeconds !== undefined) {
      const milliseconds = (spec.timeLimitSeconds / 60) * this.settings.minuteMilliseconds;
      job.timers.push(setTimeout(() => this.end(job, "time-limit"), milliseconds));
    }
    if (spec.script === undefined) return;
    let files: readonly number[] = [];
    try {
      files = this.#openOutput(job);
      const child = spawn(spec.interpreter[0] ?? this.#scriptOf(job), this.#argumentsOf(job), {
        cwd: spec.workingDirectory,
        env: { ...spec.environment, ...this.#manner.environment(job, this.nodeName) },
        detached: true,
        stdio: ["ignore", ...files],
      });
      job.child = child;
      child.once("error", () => this.#over(job, { code: 0, signal: undefined, launchFailed: true }));
      child.once("exit", (code, signal) => void this.#sweep(job, code ?? 0, signal ?? undefined));
    } catch {
      this.#over(job, { code: 0, signal: undefined, launchFailed: true });
    } finally {
      for (const file of new Set(files)) closeSync(file);
    }
  }

  #argumentsOf(job: Job): string[] {
    const { interpreter, scriptArguments } = job.spec;
    return interpreter.length === 0
      ? [...scriptArguments]
      : [...interpreter.slice(1), this.#scriptOf(job), ...scriptArguments];
  }

  /** The script has ended: what it left behind is killed before the job has. */
  async #sweep(job: Job, code: number, signal: NodeJS.Signals | undefined): Promise<void> {
    if (job.state === "running") job.state = "ending";
    const wait = job.cause === undefined ? 0 : this.settings.killWaitMilliseconds;
    const deadline = Date.now() + wait;
    for (;;) {
      const left = this.#processesOf(job);
      if (left.length === 0) break;
      if (Date.now() >= deadline) signalAll(left, "SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, tickMilliseconds));
    }
    this.#over(job, { code, signal, launchFailed: false });
  }

  #over(job: Job, how: { code: number; signal: NodeJS.Signals | undefined; launchFailed: boolean }): void {
    for (const timer of job.timers) clearTimeout(timer);
    job.timers = [];
    const { cause } = job;
    const again = cause === "requeued" || (job.spec.requeues && (cause === "node-failure" || cause === "preempted"));
    job.child = undefined;
    if (again) {
      this.#deliver(job, "");
      job.state = "pending";
      job.cause = undefined;
      job.restarts += 1;
      job.startedAt = undefined;
      job.eligibleAt = Date.now() + this.settings.requeueMilliseconds;
      return;
    }
    job.end = {
      cause,
      launchFailed: how.launchFailed,
      exitCode: how.code,
      signal: how.signal,
      ran: job.startedAt !== undefined,
    };
    this.#deliver(job, this.#manner.heading(job));
    job.state = "ended";
    job.endedAt = Date.now();
    job.startedAt ??= job.endedAt;
    this.#append(job, this.#manner.report(job));
    for (const listener of this.#listeners.get(job) ?? []) listener();
    this.#listeners.delete(job);
  }

  /** Standard output and error of the job; the same twice where it has no file of its own for errors. */
  #openOutput(job: Job): [number, number] {
    const { output, error } = job.spec;
    const open = (to: JobOutput | undefined) => {
      if (to === undefined) return openSync("/dev/null", "w");
      // A script that was requeued truncates again. Two writers of one file must not write over each other.
      if (to.mode === "truncate") closeSync(openSync(this.#placeOf(to, job), "w", 0o666));
      return openSync(this.#placeOf(to, job), "a", 0o666);
    };
    const stdout = open(output);
    return [stdout, error === undefined ? stdout : open(error)];
  }

  /** Where the output is written while the job runs. */
  #placeOf(to: JobOutput, job: Job): string {
    if (to.when === "directly") return this.#manner.expandPath(to.path, job);
    return `${this.#directory}/spool/${job.number}.${to === job.spec.error ? "err" : "out"}`;
  }

  /** Brings output that was kept aside to its place. */
  #deliver(job: Job, heading: string): void {
    for (const to of [job.spec.output, job.spec.error]) {
      if (to === undefined || to.when === "directly" || job.startedAt === undefined) continue;
      const spooled = this.#placeOf(to, job);
      const path = this.#manner.expandPath(to.path, job);
      try {
        const text = Buffer.concat([Buffer.from(to === job.spec.output ? heading : ""), readFileSync(spooled)]);
        writeFileSync(path, text, { flag: to.mode === "append" ? "a" : "w" });
        rmSync(spooled, { force: true });
      } catch {
        // A scheduler would mail it.
      }
    }
  }

  #append(job: Job, text: string): void {
    if (text === "" || job.spec.output === undefined || job.startedAt === undefined) return;
    const path =
      job.state === "ended" ? this.#manner.expandPath(job.spec.output.path, job) : this.#placeOf(job.spec.output, job);
    try {
      appendFileSync(path, text);
    } catch {
      // The directory may be gone with the CI job.
    }
  }

  #processesOf(job: Job): number[] {
    const roots = [...(job.child?.pid === undefined ? [] : [job.child.pid]), ...stepsOf(job)];
    return roots.length === 0 ? [] : processesOf(roots);
  }

  #scriptOf(job: Job): string {
    return `${this.#directory}/spool/${job.number}.script`;
  }
}

function stepsOf(job: Job): number[] {
  return [...job.steps.values()].flatMap(({ child }) => child.pid ?? []);
}
