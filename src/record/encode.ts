import { asciiJson, cut, masked } from "../system-log/json-line.ts";
import type { End, Findings, JobLine, StageLine, StageOfJob, StepOfStage, Subject } from "./line.ts";

/** A stage's line is never longer, in bytes without the line's end: below what even a pipe takes in one piece. */
export const longestStageLine = 4000;
/** A job's line is never longer. */
export const longestJobLine = 8000;

const mostSteps = 16;

/**
 * A stage as one line of JSON, without the line's end: ASCII alone, no control characters, at most
 * {@link longestStageLine} bytes. `kind` and `key` come first, so that a reader can pass over a line without parsing it.
 */
export function encodeStage(line: StageLine): string {
  const { schema, kind, key, time, stage, seconds, steps, ...rest } = line;
  return asciiJson({
    schema,
    kind,
    key: cut(key, 40),
    time,
    stage: cut(stage, 130),
    seconds: rounded(seconds),
    ...end(rest),
    steps: steps.slice(0, mostSteps).map(step),
    ...findings(rest),
    ...subject(rest),
  });
}

/** A job as one line of JSON, as {@link encodeStage}; `stages` comes last, and those that do not fit are counted. */
export function encodeJob(line: JobLine): string {
  const { schema, kind, key, time, stage, seconds, script_seconds, overhead_seconds, step_seconds, stages, ...rest } =
    line;
  const before = {
    schema,
    kind,
    key: cut(key, 40),
    time,
    seconds: rounded(seconds),
    ...(stage === undefined ? {} : { stage: cut(stage, 130) }),
    ...end(rest),
    script_seconds: rounded(script_seconds),
    overhead_seconds: rounded(overhead_seconds),
    step_seconds: Object.fromEntries(Object.entries(step_seconds).map(([name, sum]) => [name, rounded(sum)])),
    ...findings(rest),
    ...subject(rest),
  };
  let room = longestJobLine - asciiJson({ ...before, stages_left_out: 1_000_000, stages: [] }).length;
  const kept: StageOfJob[] = [];
  for (const each of stages) {
    const short = stageOfJob(each);
    room -= asciiJson(short).length + 1;
    if (room < 0) break;
    kept.push(short);
  }
  const leftOut = (rest.stages_left_out ?? 0) + stages.length - kept.length;
  return asciiJson({ ...before, ...(leftOut > 0 ? { stages_left_out: leftOut } : {}), stages: kept });
}

function stageOfJob({ stage, at, seconds, outcome, error, steps }: StageOfJob): StageOfJob {
  return {
    stage: cut(stage, 130),
    at: rounded(at),
    seconds: rounded(seconds),
    outcome,
    ...(error === undefined ? {} : { error }),
    steps: steps.slice(0, mostSteps).map(step),
  };
}

function step({ name, at, seconds }: StepOfStage): StepOfStage {
  return { name, at: rounded(at), seconds: rounded(seconds) };
}

function end({ outcome, exit_code, error, blame, id, message }: End) {
  return {
    outcome,
    exit_code,
    error,
    blame,
    id: optional(id, 40),
    message: message === undefined ? undefined : cut(masked(message), 300),
  };
}

function findings(found: Findings) {
  return {
    mechanism: found.mechanism,
    image: found.image === undefined ? undefined : cut(masked(found.image), 300),
    image_id: optional(found.image_id, 80),
    digest: optional(found.digest, 130),
    image_bytes: found.image_bytes,
    cache: found.cache,
    scheduler_id: optional(found.scheduler_id, 64),
    node: optional(found.node, 130),
    queue_seconds: found.queue_seconds === undefined ? undefined : rounded(found.queue_seconds),
    peak_memory_bytes: found.peak_memory_bytes,
    memory_limit_bytes: found.memory_limit_bytes,
  };
}

function subject(whose: Subject) {
  return {
    job: whose.job,
    job_name: optional(whose.job_name, 260),
    project: whose.project,
    project_full_path: optional(whose.project_full_path, 300),
    pipeline_id: whose.pipeline_id,
    account: optional(whose.account, 64),
    runner: optional(whose.runner, 20),
    instance: optional(whose.instance, 64),
    host: optional(whose.host, 64),
    executor: whose.executor,
    version: optional(whose.version, 40),
  };
}

function optional(text: string | undefined, limit: number): string | undefined {
  return text === undefined ? undefined : cut(text, limit);
}

/** To the millisecond. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
