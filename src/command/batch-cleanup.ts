import { existsSync } from "node:fs";
import { cancelAndVerify } from "../executor/batch/batch-job.ts";
import { batchName, openScheduler } from "./batch.ts";
import type { StageContext } from "./context.ts";
import { readPrepared } from "./prepared.ts";
import type { JobState } from "./state.ts";

/**
 * Ends what the scheduler still has of the CI job, found by its name alone. Returns how many jobs there were.
 * Throws `batch_left` when they cannot be ended, or the scheduler does not say.
 */
export async function endBatchJobs(context: StageContext, state: JobState): Promise<number> {
  // Without what prepare has left nothing was submitted.
  const prepared = existsSync(state.workspace.privateDir) ? readPrepared(state.workspace) : undefined;
  if (!prepared) return 0;
  const { scheduler, call } = openScheduler(state, context.account, prepared);
  const name = batchName(state.jobKey);
  const userName = context.account.name;
  const found = await scheduler.find(name, userName, call);
  if (found?.length === 0) return 0;
  return cancelAndVerify({ ids: found ?? [], name, scheduler, call, userName }, () => undefined);
}
