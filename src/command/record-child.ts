import { JacamarError } from "../error/error.ts";
import { type Job, parseJob } from "../gitlab/job.ts";
import { Measurements } from "../measure/measurements.ts";
import { endedStage, newRecorder, sayFailure, whoseStage } from "./record-stage.ts";
import type { Identity, JobState } from "./state.ts";

/** A stage that another process has done as the user. */
export interface ChildStage {
  readonly state: JobState;
  readonly stage: string;
  /** Text of the job response, where the runner still had it. */
  readonly response: string | undefined;
  readonly identity: Identity;
  readonly runnerShortToken: string | undefined;
  /** The record that the process handed up; undefined when it ended before it could. */
  readonly told: string | undefined;
  readonly stopped: boolean;
}

/**
 * Writes the record of a stage that another process has done, with the rights of this one. Whose stage it was, and how long
 * it took, is what this process knows; the rest is what the other one told. A failure is said and fails no job.
 */
export async function recordChild(child: ChildStage): Promise<void> {
  const { state, stage, identity, runnerShortToken, told } = child;
  try {
    const record = await import("../record/recorder.ts");
    const recorder = newRecorder(record, state, stage, undefined);
    // A user's own record is opened as the user, by the process that was: here its path could lead to any place of ours.
    if (recorder === undefined || recorder.isOwn) return;
    const whose = whoseStage({ job: jobOf(child.response), account: identity, runnerShortToken }, state);
    const ours = record.stageLine(whose, endedStage(stage, new Measurements(), silence(child)));
    const theirs = told === undefined ? undefined : record.decodeLine(told);
    if (ours === undefined) return;
    await recorder.writeLine(theirs?.kind === "stage" ? record.told(theirs, ours) : ours);
  } catch (error) {
    sayFailure(stage, error);
  }
}

/** What is said of a process that ended without a word. */
function silence({ told, stopped }: ChildStage): JacamarError | undefined {
  if (told !== undefined) return undefined;
  return stopped
    ? new JacamarError("interrupted", "GitLab Runner ended this stage")
    : new JacamarError("internal", "The process that worked as the user ended without a record of the stage");
}

function jobOf(response: string | undefined): Job | JacamarError {
  try {
    if (response !== undefined) return parseJob(response);
  } catch (error) {
    if (error instanceof JacamarError) return error;
  }
  return new JacamarError("job_response_invalid", "The job response was gone when the stage began");
}
