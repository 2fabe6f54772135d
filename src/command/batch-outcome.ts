import type { BatchEnd } from "../executor/batch/following.ts";
import { judge, type Outcome } from "../executor/outcome.ts";
import { JacamarError } from "../error/error.ts";
import { schedulerOf } from "./batch.ts";
import type { BatchStage } from "./batch-plan.ts";
import { entrypointFailed, isEntrypointOfJob } from "./container-spec.ts";
import type { JobState } from "./state.ts";

/** How a job ended, with what the scheduler wrote of it. */
export interface ToldEnd extends BatchEnd {
  readonly words: string;
}

/** With some accounting plugins Slurm calls it a failure, and only its log tells the reason. */
const memoryWords = /exceeded (?:job|step)? ?memory limit|oom[-_ ]kill|out of memory/i;

/**
 * Decides how a batch job ended: by the script's own status where there is one, and by the scheduler's word.
 * Throws `batch_limit`, `batch_ended`, `entrypoint_failed` or `podman_failed`.
 */
export function outcomeOf(end: ToldEnd, { image, state }: BatchStage): Outcome {
  const { status, stopped } = end;
  if (stopped) return { kind: "stopped" };
  const limit = endedByScheduler(end, state);
  if (limit && status?.script !== 0) throw limit;
  if (status === undefined) throw limit ?? new Error("a batch job that ended without anybody's word");
  const outcome = judge({ status: status.script, exitCode: status.client, stopped });
  if (outcome.kind !== "lost" || !image) return outcome;
  if (status.client !== 125 && isEntrypointOfJob(image, state.config)) throw entrypointFailed(status.client);
  if (status.client !== 125) return outcome;
  throw new JacamarError("podman_failed", "Podman failed on the node before the script ran; its message stands above", {
    hint: "Try as the same user on the same node: podman run --rm IMAGE true",
  });
}

/** The scheduler's own reason for the end of a job, where it is one; undefined where the script simply ended. */
function endedByScheduler(
  { title: what, state: said, status, words }: ToldEnd,
  { config }: JobState,
): JacamarError | undefined {
  if (said === undefined) return undefined;
  const { title } = schedulerOf(config);
  switch (memoryWords.test(words) ? "memory-limit" : said.end) {
    case "time-limit":
      return new JacamarError("batch_limit", `${what} was ended at its time limit: ${said.said}`, {
        hint: "Ask for more time in SCHEDULER_PARAMETERS, or make the script shorter.",
      });
    case "memory-limit":
      return new JacamarError("batch_limit", `${what} was ended at its memory limit: ${said.said}`, {
        hint: "Ask for more memory in SCHEDULER_PARAMETERS.",
      });
    case "node-failure":
    case "preempted":
    case "cancelled":
      return new JacamarError("batch_ended", `${what} was ended by ${title}: ${said.said}`, {
        hint: "Somebody cancelled it, or its node failed. Retry the job.",
      });
    case "completed":
    case "failed":
    case "other":
      if (status !== undefined) return undefined;
      return new JacamarError(
        "batch_ended",
        `${what} has ended without an exit status of the script: ${said.said}${said.exitCode === undefined ? "" : `, exit code ${said.exitCode}`}`,
        { hint: "The node may not see the job's directories (data_dir), or a start-up file of Bash calls exit." },
      );
  }
}
