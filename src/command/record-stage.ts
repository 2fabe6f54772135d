import { defectId } from "../error/defect-id.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import { JobLog } from "../log/job-log.ts";
import type { Measurements } from "../measure/measurements.ts";
import type { EndedStage, Recorder, Whose } from "../record/recorder.ts";
import { type JobState } from "./state.ts";

/**
 * How the record of a stage leaves this process:
 *
 * - `here`: it still has the rights with which it was started;
 * - `opened`: it had them, and has opened what it needs them for; no recorder where it needs them for nothing;
 * - `handed up`: it never had them; the process that has gets the line.
 */
export type RecordDoor =
  | { readonly kind: "here" }
  | { readonly kind: "opened"; readonly recorder: Recorder | undefined }
  | { readonly kind: "handed up"; readonly send: (line: string) => void };

/** A stage that is over, as far as its record needs it. */
export interface StageToRecord {
  readonly state: JobState | undefined;
  /** `prepare`, `cleanup`, or the runner's name for a script. */
  readonly stage: string;
  readonly job: Job | JacamarError;
  readonly account: { readonly name: string; readonly home: string };
  readonly runnerShortToken: string | undefined;
  readonly measure: Measurements;
  /** What ended the stage; undefined when it passed. */
  readonly error: unknown;
}

/**
 * Writes the stage's line into the record, where the configuration has one; without one, nothing is loaded. A record that cannot be
 * written fails no job: the job log of prepare and the runner's log of cleanup say so.
 */
export async function recordStage(ended: StageToRecord, door: RecordDoor): Promise<void> {
  if (ended.state?.config.record === undefined) return;
  try {
    await write(ended, ended.state, door);
  } catch (error) {
    sayFailure(ended.stage, error);
  }
}

async function write(ended: StageToRecord, state: JobState, door: RecordDoor): Promise<void> {
  const whose = whoseStage(ended, state);
  const end = endedStage(ended.stage, ended.measure, ended.error);
  if (door.kind === "opened" && door.recorder) return door.recorder.write(whose, end);
  const record = await import("../record/recorder.ts");
  const recorder = newRecorder(record, state, ended.stage, ended.account.home);
  // What needs no rights of the runner's account, a user's own file and the system's log, is written by who is here.
  if (door.kind !== "handed up" || recorder?.isOwn === true) return recorder?.write(whose, end);
  const line = record.stageLine(whose, end);
  if (line) door.send(record.encodeStage(line));
}

/** For whom a stage is recorded. */
export function whoseStage(
  {
    job,
    account,
    runnerShortToken,
  }: Pick<StageToRecord, "job" | "runnerShortToken"> & {
    readonly account: { readonly name: string };
  },
  { config, jobKey }: Pick<JobState, "config" | "jobKey">,
): Whose {
  return {
    job: job instanceof JacamarError ? undefined : job,
    key: jobKey,
    account: account.name,
    runnerShortToken,
    instance: config.general.name,
    executor: config.general.executor,
  };
}

/** A stage that ends now, and began with this process. */
export function endedStage(stage: string, measure: Measurements, error: unknown): EndedStage {
  return {
    stage,
    startedAt: new Date(performance.timeOrigin),
    seconds: performance.now() / 1000,
    error,
    defectId: () => defectId(error),
    steps: measure.steps,
    facts: measure.facts,
  };
}

type RecordModule = typeof import("../record/recorder.ts");

/** The recorder of a stage; undefined without a record, or without a place for it. */
export function newRecorder(
  { Recorder, placeOf }: RecordModule,
  { config, workspace, jobKey, startedAt }: JobState,
  stage: string,
  home: string | undefined,
): Recorder | undefined {
  const settings = config.record;
  const place = settings && placeOf(settings, { home, base: workspace.base });
  if (settings === undefined || place === undefined) return undefined;
  const since = new Date(startedAt ?? performance.timeOrigin);
  return new Recorder({ settings, place, key: jobKey, since, stage });
}

/**
 * Opens, before the rights of the runner's account are given up, what the record of a stage needs; undefined where it needs
 * nothing of theirs. Never rejects.
 */
export async function openRecord(state: JobState, stage: string): Promise<Recorder | undefined> {
  if (state.config.record?.location.startsWith("/") !== true) return undefined;
  const recorder = newRecorder(await import("../record/recorder.ts"), state, stage, undefined);
  recorder?.openBeforeTheDoor();
  return recorder;
}

/** Says in one place of a job that there is no record of it. */
export function sayFailure(stage: string, error: unknown): void {
  if (stage !== "config" && stage !== "prepare" && stage !== "cleanup") return;
  const why = error instanceof Error ? error.message : String(error);
  // Standard output of cleanup is shown nowhere, and that of config is the answer to the runner.
  new JobLog(stage === "prepare" ? 1 : 2).say(`WARNING: The record of this job cannot be written: ${why}`);
}
