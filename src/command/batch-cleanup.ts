import { existsSync, readdirSync } from "node:fs";
import { allocationRequest } from "../executor/batch/allocation-request.ts";
import { inSeconds, limited } from "../executor/batch/call-limit.ts";
import { cancelAndVerify, cancelCallSeconds, cancelSeconds } from "../executor/batch/cancel.ts";
import { unwantHolder } from "../executor/batch/holder.ts";
import { endStep } from "../executor/batch/step.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import { batchName, openScheduler, ownIdEnding, wantedEnding } from "./batch.ts";
import { remove } from "../workspace/script-files.ts";
import type { StageContext } from "./context.ts";
import { allocationsDirectory } from "./job-files.ts";
import { readPrepared } from "./prepared.ts";
import type { JobState } from "./state.ts";

/**
 * Ends what the scheduler still has of the CI job, found by its name alone. Returns how many jobs there were. What the scheduler
 * starts from now on does nothing.
 *
 * Throws `batch_left` when they cannot be ended, or the scheduler does not say; `scheduler_unavailable` when its programs are
 * missing, and none has begun.
 */
export async function endBatchJobs(context: StageContext, state: JobState, job: Job | undefined): Promise<number> {
  try {
    return await endThem(context, state, job);
  } catch (error) {
    if (!(error instanceof JacamarError) || error.code !== "scheduler_unavailable" || !hasStarted(state)) throw error;
    throw new JacamarError("batch_left", `Nobody knows whether a job still runs: ${error.message}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}

async function endThem(context: StageContext, state: JobState, job: Job | undefined): Promise<number> {
  // Without what prepare has left nothing was submitted.
  const prepared = existsSync(state.workspace.privateDir) ? readPrepared(state.workspace) : undefined;
  if (!prepared) return 0;
  const { isAbandoned } = revoke(state);
  // Whatever the scheduler's programs do, and however much there is to end.
  const deadline = inSeconds(cancelSeconds);
  const { scheduler, call: anyCall } = openScheduler(state, context.account, prepared);
  const call = limited(anyCall, { deadlineMilliseconds: deadline, callSeconds: cancelCallSeconds });
  const name = batchName(state.jobKey);
  const userName = context.account.name;
  const request = allocationRequest(
    context.variables.get("JACAMAR_SCHEDULER_ACTION"),
    context.variables.get("JACAMAR_SCHEDULER_JOB_KEY"),
    { projectId: job?.projectId ?? 0, pipelineId: job?.pipelineId ?? 0 },
    context.variables.get("CI_PIPELINE_ID"),
  );
  let ended = 0;
  if (request !== undefined && scheduler.steps !== undefined) {
    const tools = { scheduler, call, userName };
    ended += await endStep({ steps: scheduler.steps, name }, tools, () => undefined, deadline);
    // An allocation that is still waited for is nobody's: the job that took it was killed before it ran.
    const isNobodys = request.action === "allocate" && !hasStarted(state);
    // What gives it back at last, whatever becomes of the script, was killed before it could.
    const isOver = request.action === "cancel" && isAbandoned;
    if (isNobodys || isOver) {
      unwantHolder(`${allocationsDirectory(state.workspace)}/${request.name}`);
      ended += await endAll(request.name);
    }
  }
  return ended + (await endAll(name));

  async function endAll(wanted: string): Promise<number> {
    const found = await scheduler.find(wanted, userName, call);
    if (found?.length === 0) return 0;
    const what = { ids: found ?? [], name: wanted, scheduler, call, userName };
    return cancelAndVerify(what, () => undefined, deadline);
  }
}

/** Whoever waited for a job does not any more. Tells whether a driver was killed while it did. */
function revoke({ workspace: { privateDir } }: JobState): { readonly isAbandoned: boolean } {
  const left = readdirSync(privateDir).filter((name) => name.endsWith(wantedEnding));
  for (const name of left) remove(`${privateDir}/${name}`);
  return { isAbandoned: left.length > 0 };
}

function hasStarted({ workspace }: JobState): boolean {
  return readdirSync(workspace.privateDir).some((name) => name.endsWith(ownIdEnding) || name.endsWith(".started"));
}
