import { type StepName, stepNames } from "../measure/measurements.ts";
import type { End, Findings, JobLine, Outcome, RecordLine, StageOfJob, StepOfStage, Subject } from "./line.ts";

/** How each line begins. No text of a line can hold it, since the quotes of a text are escaped. */
export const lineStart = '{"schema":';

/** Longer lines are not ours. */
const longestRead = 64 * 1024;
const mostStages = 200;
const mostSteps = 50;

/**
 * Reads a line of a record; undefined for anything that is none. A user may have written the line: nothing in it is
 * believed beyond its type, texts are cut, numbers that are none are left out. Written by hand rather than with a schema,
 * since the report reads a hundred thousand of them.
 */
export function decodeLine(text: string): RecordLine | undefined {
  if (text.length > longestRead) return undefined;
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(data)) return undefined;
  const schema = number(data["schema"]);
  const key = string(data["key"], 64);
  const time = string(data["time"], 40);
  const seconds = number(data["seconds"]);
  const outcome = outcomeOf(data["outcome"]);
  if (schema === undefined || schema < 1 || key === undefined || seconds === undefined || outcome === undefined)
    return undefined;
  if (time === undefined || Number.isNaN(Date.parse(time))) return undefined;
  const common = { schema, key, time, seconds, ...end(data, outcome), ...findings(data), ...subject(data) };
  const stage = string(data["stage"], 200);
  if (data["kind"] === "stage" && stage !== undefined) {
    return { ...common, kind: "stage", stage, steps: steps(data["steps"]) };
  }
  if (data["kind"] !== "job") return undefined;
  return {
    ...common,
    kind: "job",
    ...(stage === undefined ? {} : { stage }),
    script_seconds: number(data["script_seconds"]) ?? 0,
    overhead_seconds: number(data["overhead_seconds"]) ?? 0,
    step_seconds: stepSeconds(data["step_seconds"]),
    stages: list(data["stages"], mostStages).flatMap(stageOfJob),
    ...present({ stages_left_out: number(data["stages_left_out"]) }),
  };
}

function stageOfJob(data: unknown): StageOfJob[] {
  if (!isObject(data)) return [];
  const stage = string(data["stage"], 200);
  const at = number(data["at"]);
  const seconds = number(data["seconds"]);
  const outcome = outcomeOf(data["outcome"]);
  if (stage === undefined || at === undefined || seconds === undefined || outcome === undefined) return [];
  return [
    { stage, at, seconds, outcome, ...present({ error: string(data["error"], 64) }), steps: steps(data["steps"]) },
  ];
}

function stepSeconds(data: unknown): JobLine["step_seconds"] {
  const sums: Partial<Record<StepName, number>> = {};
  if (!isObject(data)) return sums;
  for (const name of stepNames) {
    const seconds = number(data[name]);
    if (seconds !== undefined) sums[name] = seconds;
  }
  return sums;
}

const knownSteps: ReadonlySet<string> = new Set(stepNames);

function isStepName(name: unknown): name is StepName {
  return typeof name === "string" && knownSteps.has(name);
}

/** The steps of a stage; those of a newer program, with other names, are passed over. */
export function steps(data: unknown): StepOfStage[] {
  return list(data, mostSteps).flatMap((each) => {
    if (!isObject(each)) return [];
    const at = number(each["at"]);
    const seconds = number(each["seconds"]);
    const name = each["name"];
    return isStepName(name) && at !== undefined && seconds !== undefined ? [{ name, at, seconds }] : [];
  });
}

function outcomeOf(value: unknown): Outcome | undefined {
  return value === "passed" || value === "failed" || value === "error" || value === "stopped" ? value : undefined;
}

/** How something ended. */
export function end(data: Readonly<Record<string, unknown>>, outcome: Outcome): End {
  const blame = data["blame"];
  return {
    outcome,
    ...present({
      exit_code: number(data["exit_code"]),
      error: string(data["error"], 64),
      blame: blame === "job" || blame === "site" || blame === "driver" ? blame : undefined,
      id: string(data["id"], 64),
      message: string(data["message"], 1000),
    }),
  };
}

/** What was found out. */
export function findings(data: Readonly<Record<string, unknown>>): Findings {
  const cache = data["cache"];
  return present({
    mechanism: string(data["mechanism"], 20),
    image: string(data["image"], 500),
    image_id: string(data["image_id"], 100),
    digest: string(data["digest"], 200),
    image_bytes: number(data["image_bytes"]),
    cache: cache === "hit" || cache === "pulled" ? cache : undefined,
    scheduler_id: string(data["scheduler_id"], 100),
    node: string(data["node"], 200),
    queue_seconds: number(data["queue_seconds"]),
    peak_memory_bytes: number(data["peak_memory_bytes"]),
    memory_limit_bytes: number(data["memory_limit_bytes"]),
  });
}

function subject(data: Readonly<Record<string, unknown>>): Subject {
  return present({
    job: number(data["job"]) ?? string(data["job"], 24),
    job_name: string(data["job_name"], 300),
    project: number(data["project"]),
    project_full_path: string(data["project_full_path"], 500),
    pipeline_id: number(data["pipeline_id"]),
    account: string(data["account"], 100),
    runner: string(data["runner"], 40),
    instance: string(data["instance"], 100),
    host: string(data["host"], 100),
    executor: string(data["executor"], 20),
    version: string(data["version"], 60),
  });
}

/** Whether a value is an object with keys. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function string(value: unknown, limit: number): string | undefined {
  return typeof value === "string" && value !== "" ? value.slice(0, limit) : undefined;
}

/** A number from 0 on that can be added to others without harm. */
function number(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

function list(value: unknown, most: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, most) : [];
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The same without the keys that have no value. */
function present<T extends object>(values: T): Present<T>;
function present(values: Readonly<Record<string, unknown>>): object {
  const kept: Record<string, unknown> = {};
  for (const key in values) if (values[key] !== undefined) kept[key] = values[key];
  return kept;
}
