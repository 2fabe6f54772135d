import { hostname } from "node:os";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import { isJobKey, toJobKey } from "../gitlab/job-key.ts";
import type { Facts, Step, StepName } from "../measure/measurements.ts";
import { version } from "../version.ts";
import {
  type End,
  endKeys,
  type Findings,
  findingKeys,
  type JobLine,
  schemaVersion,
  type StageLine,
  type StageOfJob,
  type Subject,
  subjectKeys,
} from "./line.ts";

/** What is known of the job whose stage it is; all of it from the job response, the configuration and the system. */
export interface Whose {
  /** Undefined when the job response was gone. */
  readonly job: Job | undefined;
  /** Undefined in the config stage, where it is made. */
  readonly key: string | undefined;
  readonly account: string | undefined;
  readonly runnerShortToken: string | undefined;
  readonly instance: string | undefined;
  readonly executor: string;
}

/** A stage that is over. */
export interface EndedStage {
  readonly stage: string;
  readonly startedAt: Date;
  readonly seconds: number;
  /** What ended it; undefined when it passed. */
  readonly error: unknown;
  /** Under which the system log has a defect; asked for only when there was one. */
  readonly defectId: () => string;
  readonly steps: readonly Step[];
  readonly facts: Facts;
}

/** The line of a stage; undefined when it is not known which job it was. */
export function stageLine(whose: Whose, stage: EndedStage): StageLine | undefined {
  const key = whose.key ?? (whose.job && keyOf(whose.job));
  if (key === undefined) return undefined;
  return {
    schema: schemaVersion,
    kind: "stage",
    key,
    time: stage.startedAt.toISOString(),
    stage: stage.stage,
    seconds: stage.seconds,
    ...endOf(stage),
    steps: stage.steps.map(({ name, atSeconds, seconds }) => ({ name, at: atSeconds, seconds })),
    ...findingsOf(stage.facts),
    ...subjectOf(whose),
  };
}

/**
 * The line of a stage that another process has done and told of: how it ended and what it found out is its word; whose it was and how
 * long it took is ours. No step of it took longer: one user's line must not spoil the sums over all jobs.
 */
export function told(theirs: StageLine, ours: StageLine): StageLine {
  const within = (seconds: number) => Math.min(seconds, ours.seconds);
  const { queue_seconds: wait } = theirs;
  return {
    ...pickKeys(theirs, [...endKeys, "exit_code", ...findingKeys]),
    steps: theirs.steps.map(({ name, at, seconds }) => ({ name, at: within(at), seconds: within(seconds) })),
    ...(wait === undefined ? {} : { queue_seconds: within(wait) }),
    ...pickKeys(ours, ["schema", "kind", "key", "time", "stage", "seconds", ...subjectKeys]),
  };
}

/** The key that the config stage hands to the others. */
export function keyOf(job: Job): string {
  // Only the config stage makes one, and loading the module would take every stage with a record 5 ms.
  return toJobKey(job.id, process.getBuiltinModule("node:crypto").createHash("sha256").update(job.token).digest("hex"));
}

function endOf({ error, defectId, facts }: EndedStage): End {
  const exit = facts.exitCode === undefined ? {} : { exit_code: facts.exitCode };
  if (error === undefined) return { outcome: "passed", ...exit };
  if (!(error instanceof JacamarError)) {
    const message = "A defect of this program has ended the stage";
    return { outcome: "error", ...exit, error: "internal", blame: "driver", id: defectId(), message };
  }
  const outcome = error.code === "interrupted" ? "stopped" : error.blame === "job" ? "failed" : "error";
  const id = error.id === undefined ? {} : { id: error.id };
  return { outcome, ...exit, error: error.code, blame: error.blame, ...id, message: error.message };
}

function findingsOf(facts: Facts): Findings {
  return {
    ...given("mechanism", facts.mechanism),
    ...given("image", facts.image),
    ...given("image_id", facts.imageId),
    ...given("digest", facts.imageDigest),
    ...given("image_bytes", facts.imageBytes),
    ...given("cache", facts.imageCache),
    ...given("scheduler_id", facts.schedulerId),
    ...given("node", facts.node),
    ...given("queue_seconds", facts.queueSeconds),
    ...given("peak_memory_bytes", facts.peakMemoryBytes),
    ...given("memory_limit_bytes", facts.memoryLimitBytes),
  };
}

function subjectOf({ job, key, account, runnerShortToken, instance, executor }: Whose): Subject {
  const number = job?.id ?? (isJobKey(key) ? key.slice(0, key.indexOf("-")) : undefined);
  return {
    ...given("job", number === undefined ? undefined : jobNumber(number)),
    ...given("job_name", job?.name),
    ...given("project", job?.projectId),
    ...given("project_full_path", job && (job.projectPath || job.projectSlug)),
    ...given("pipeline_id", job?.pipelineId || undefined),
    ...given("account", account),
    ...given("runner", runnerShortToken),
    ...given("instance", instance),
    host: hostname(),
    executor,
    version,
  };
}

/** GitLab's numbers are numbers; one that JSON readers would round stays text. */
function jobNumber(text: string): number | string {
  return Number.isSafeInteger(Number(text)) ? Number(text) : text;
}

function given<K extends string, T>(key: K, value: T | undefined): { [P in K]?: T };
function given(key: string, value: unknown): object {
  return value === undefined ? {} : { [key]: value };
}

/** Stages whose failure GitLab Runner reports and does not count (facts/gitlab-runner.md, 1.6). */
const withoutConsequence =
  /^(?:after_script|cleanup|cleanup_file_variables|restore_cache|archive_cache(?:_on_failure)?)$/;

/**
 * Sums up the stages of one attempt at a job, in the order in which they came; the last attempt at a stage counts
 * (`GET_SOURCES_ATTEMPTS`). Undefined without a stage.
 */
export function jobLine(stages: readonly StageLine[]): JobLine | undefined {
  const [first] = stages;
  const last = stages.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const started = Date.parse(first.time);
  const lastOfName = new Map(stages.map((stage) => [stage.stage, stage]));
  const failed = [...lastOfName.values()].find(
    ({ stage, outcome }) => outcome !== "passed" && !withoutConsequence.test(stage),
  );
  const steps = stages.flatMap((stage) => stage.steps);
  const sums: Partial<Record<StepName, number>> = {};
  for (const { name, seconds } of steps) sums[name] = (sums[name] ?? 0) + seconds;
  const { script = 0, queue: waited = 0 } = sums;
  const stageSeconds = stages.reduce((total, { seconds }) => total + seconds, 0);
  const user = stages.findLast(({ stage }) => stage === "build_script" || stage.startsWith("step_"));
  // The image of a job is that of the user's script, whatever the runner's own stages used.
  const found = [...stages, ...(user ? [user] : [])].reduce<Findings>(
    (all, stage) => ({ ...all, ...pickKeys(stage, findingKeys) }),
    {},
  );
  const exit = failed?.exit_code ?? user?.exit_code;
  return {
    schema: schemaVersion,
    kind: "job",
    key: first.key,
    time: first.time,
    seconds: Math.max(0, (Date.parse(last.time) - started) / 1000 + last.seconds),
    ...(failed ? { stage: failed.stage, ...pickKeys(failed, endKeys) } : { outcome: "passed" as const }),
    ...given("exit_code", exit),
    script_seconds: script,
    overhead_seconds: Math.max(0, stageSeconds - script - waited),
    step_seconds: sums,
    stages: stages.map((stage) => inJob(stage, started)),
    ...found,
    ...queue(stages),
    ...peak(stages),
    ...pickKeys(last, subjectKeys),
  };
}

function inJob({ stage, time, seconds, outcome, error, steps }: StageLine, started: number): StageOfJob {
  const at = Math.max(0, (Date.parse(time) - started) / 1000);
  return { stage, at, seconds, outcome, ...given("error", error), steps };
}

function queue(stages: readonly StageLine[]): Findings {
  const waits = stages.flatMap(({ queue_seconds: wait }) => (wait === undefined ? [] : [wait]));
  return waits.length === 0 ? {} : { queue_seconds: waits.reduce((total, wait) => total + wait, 0) };
}

function peak(stages: readonly StageLine[]): Findings {
  const peaks = stages.flatMap(({ peak_memory_bytes: bytes }) => (bytes === undefined ? [] : [bytes]));
  return peaks.length === 0 ? {} : { peak_memory_bytes: Math.max(...peaks) };
}

/** Some keys of a line; what is missing stays missing. */
function pickKeys<T extends object, K extends keyof T>(line: T, keys: readonly K[]): Pick<T, K>;
function pickKeys(line: Readonly<Record<string, unknown>>, keys: readonly string[]): object {
  return Object.fromEntries(keys.filter((key) => line[key] !== undefined).map((key) => [key, line[key]]));
}
