import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { JobDefinition } from "./job-definition.ts";
import { JobLog, type LogSink } from "./job-log.ts";
import { idTokens } from "./id-token.ts";
import type { JobFacts, PipelineFacts } from "./job-variables.ts";
import type { Pipeline } from "./pipeline.ts";
import type { JobResult, JobWorld } from "./job-world.ts";
import { runJob } from "./run-job.ts";
import { artifactSources, decide, type JobState } from "./schedule.ts";
import { takeSlot } from "./slot.ts";
import type { TokenServer } from "./token-server.ts";
import { type Variable, valueOf } from "./variables.ts";

export interface PipelineWorld {
  readonly pipeline: Pipeline;
  /** The jobs that take part. */
  readonly jobs: readonly JobDefinition[];
  /** The names that the user gave with --job; empty when the whole pipeline runs. */
  readonly named: readonly string[];
  readonly facts: PipelineFacts;
  /** Signs the jobs' ID tokens; undefined when none asks for one. */
  readonly tokenServer: TokenServer | undefined;
  /** The account whose directories the jobs will use; the slots of its jobs differ. */
  readonly slotAccount: string;
  /** What every job's world has in common. */
  readonly job: Pick<
    JobWorld,
    | "driver"
    | "configuration"
    | "environment"
    | "temporaryDir"
    | "diagnose"
    | "cancel"
    | "forceCancel"
    | "gracefulTimeoutSeconds"
    | "sources"
    | "readProjectFile"
    | "waits"
  >;
  readonly concurrent: number;
  readonly stdout: LogSink;
  readonly colour: boolean;
}

/** The pipeline's result: how each job stands, in the order of the pipeline. */
export interface PipelineResult {
  readonly states: ReadonlyMap<string, JobState>;
  readonly systemFailure: boolean;
  readonly canceled: boolean;
}

const jobTimeoutSeconds = 3600;

/** Runs the jobs, up to `concurrent` at a time, in the order that stages and needs ask for, and sums up. */
export async function runPipeline(world: PipelineWorld): Promise<PipelineResult> {
  return new PipelineRun(world).run();
}

interface Finished {
  readonly id: number;
  readonly token: string;
  readonly result: JobResult;
}

class PipelineRun {
  readonly #world: PipelineWorld;
  readonly #states = new Map<string, JobState>();
  readonly #finished = new Map<string, Finished>();
  readonly #seconds = new Map<string, number>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #log: JobLog;
  #nextId: number;
  #systemFailure = false;

  constructor(world: PipelineWorld) {
    this.#world = world;
    this.#log = new JobLog(world.stdout, { colour: world.colour, secrets: [] });
    this.#nextId = world.facts.pipelineId + 1;
    for (const job of world.jobs) this.#states.set(job.name, "waiting");
  }

  async run(): Promise<PipelineResult> {
    const { jobs, job } = this.#world;
    for (;;) {
      if (!job.cancel.aborted) this.#startWhatCanStart();
      const [first] = this.#running.values();
      if (first === undefined) break;
      await Promise.race(this.#running.values());
    }
    for (const one of jobs) if (this.#states.get(one.name) === "waiting") this.#states.set(one.name, "skipped");
    this.#summarise();
    return {
      states: this.#states,
      systemFailure: this.#systemFailure,
      canceled: job.cancel.aborted || job.forceCancel.aborted,
    };
  }

  #startWhatCanStart(): void {
    const { jobs, pipeline, named, concurrent } = this.#world;
    for (let changed = true; changed; ) {
      changed = false;
      for (const job of jobs) {
        if (this.#running.size >= concurrent) return;
        if (this.#states.get(job.name) !== "waiting") continue;
        const isNamed = named.includes(job.name);
        if (job.when === "manual" && !isNamed) {
          this.#states.set(job.name, "manual");
          this.#log.line(`Job "${job.name}" is manual and does not start by itself; run it with --job ${job.name}`);
          changed = true;
          continue;
        }
        const decision = decide(job, pipeline, this.#states, isNamed);
        if (decision.action === "wait") continue;
        changed = true;
        if (decision.action === "skip") {
          this.#states.set(job.name, "skipped");
          this.#log.line(`Job "${job.name}" is skipped: ${decision.why}`);
          continue;
        }
        this.#states.set(job.name, "running");
        const running = this.#runWithRetries(job).finally(() => this.#running.delete(job.name));
        this.#running.set(job.name, running);
      }
    }
  }

  async #runWithRetries(job: JobDefinition): Promise<void> {
    const started = performance.now();
    let finished = await this.#runOnce(job);
    for (let retry = 1; retry <= job.retry.max && shouldRetry(job, finished.result); retry += 1) {
      if (this.#world.job.cancel.aborted) break;
      this.#log.line(`Job "${job.name}" is tried again (${retry} of ${job.retry.max})`);
      finished = await this.#runOnce(job);
    }
    this.#finished.set(job.name, finished);
    this.#seconds.set(job.name, (performance.now() - started) / 1000);
    const state = stateOf(job, finished.result);
    this.#states.set(job.name, state);
    const { result } = finished;
    if (state === "failed" && result.status === "failed" && result.reason === "runner_system_failure") {
      this.#systemFailure = true;
    }
  }

  async #runOnce(job: JobDefinition): Promise<Finished> {
    const slot = await takeSlot(this.#world.slotAccount);
    try {
      return await this.#runIn(slot.id, job);
    } finally {
      slot.release();
    }
  }

  async #runIn(concurrentId: number, job: JobDefinition): Promise<Finished> {
    const { facts, pipeline, tokenServer, colour, stdout, concurrent } = this.#world;
    const id = this.#nextId++;
    const given = valueOf(facts.givenVariables, "CI_JOB_TOKEN");
    const token = given === "" ? `glcbt-${randomBytes(16).toString("hex")}` : given;
    const bare: JobFacts = {
      pipeline: facts,
      job,
      jobId: id,
      token,
      timeoutSeconds: job.timeoutSeconds ?? jobTimeoutSeconds,
      concurrentId,
      idTokens: [],
    };
    tokenServer?.introduce(token, { jobId: id, user: facts.user });
    const tokens = tokenServer === undefined ? [] : idTokens(bare, tokenServer, new Date());
    const width = Math.max(...this.#world.jobs.map((one) => one.name.length));
    const log = new JobLog(stdout, {
      colour,
      secrets: [token, ...[...tokens, ...facts.givenVariables].filter((one) => one.masked).flatMap(secretsOf)],
      ...(concurrent > 1 ? { prefix: `${job.name.padEnd(width)} | ` } : {}),
    });
    if (concurrent === 1 && id > facts.pipelineId + 1) log.line("");
    log.title(`Job "${job.name}" (${id}), stage ${job.stage}`);
    const dependencies = artifactSources(job, pipeline).flatMap((one) => {
      const source = this.#finished.get(one.name);
      if (source === undefined) return [];
      const { artifacts } = source.result;
      return [
        {
          id: source.id,
          token: source.token,
          name: one.name,
          bytes: artifacts?.bytes ?? 0,
          file: artifacts?.file ?? "",
        },
      ];
    });
    const result = await runJob({
      ...this.#world.job,
      log,
      dependencies,
      artifactsFile: join(this.#world.job.temporaryDir, `artifacts-${id}.tar.gz`),
      facts: { ...bare, idTokens: tokens },
    });
    return { id, token, result };
  }

  #summarise(): void {
    const { jobs } = this.#world;
    if (jobs.length < 2) return;
    const width = Math.max(...jobs.map((job) => job.name.length));
    this.#log.line("");
    this.#log.title("Pipeline");
    for (const job of jobs) {
      const state = this.#states.get(job.name) ?? "skipped";
      const seconds = this.#seconds.get(job.name);
      const time = seconds === undefined ? "" : ` in ${seconds.toFixed(1)} s`;
      this.#log.line(`  ${job.name.padEnd(width)}  ${wording[state]}${time}`);
    }
  }
}

const wording: Readonly<Record<JobState, string>> = {
  waiting: "not started",
  running: "running",
  success: "passed",
  warned: "failed, which is allowed,",
  failed: "failed",
  canceled: "canceled",
  skipped: "skipped",
  manual: "manual",
};

function stateOf(job: JobDefinition, result: JobResult): JobState {
  if (result.status !== "failed") return result.status;
  const { allowFailure } = job;
  const { exitCode } = result;
  const allowed =
    typeof allowFailure === "boolean" ? allowFailure : exitCode !== undefined && allowFailure.includes(exitCode);
  return allowed ? "warned" : "failed";
}

function shouldRetry(job: JobDefinition, result: JobResult): boolean {
  if (result.status !== "failed") return false;
  const { when, exitCodes } = job.retry;
  if (when.includes("always") || when.includes(result.reason)) return true;
  return result.exitCode !== undefined && exitCodes.includes(result.exitCode);
}

/** A value of several lines is masked line by line, as it may be printed. */
function secretsOf(one: Variable): string[] {
  return [one.value, ...one.value.split("\n").filter((line) => line.length >= 8)];
}
