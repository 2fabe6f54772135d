import { JacamarError } from "../../error/error.ts";
import { pause } from "../../process/signals.ts";
import type { BatchTools } from "./following.ts";
import { callSeconds } from "./programs.ts";
import { formatDuration } from "./job-watch.ts";
import type { SchedulerId, Submission } from "./scheduler.ts";

/** What submitting needs. */
export type SubmitTools = Pick<BatchTools, "scheduler" | "call" | "userName" | "say" | "stop">;

/** Is told what is known of the job. */
export interface Doubt {
  /** Nobody knows whether the scheduler has it. */
  readonly begins: () => void;
  /** It has. */
  readonly ends: () => void;
}

/** A scheduler that answers has by then taken what it was given before, or has not been given it. */
const answeringMilliseconds = callSeconds * 1000;
/** One that does not answer may have been given it, and take it when it answers again. */
const silentMilliseconds = 5 * callSeconds * 1000;
const longestPauseMilliseconds = 5000;

/**
 * Submits a job. A submission without an answer may have been accepted, now or when the scheduler can work again: so the job is
 * looked for by its name, for a minute at least. When the stage is to end it is looked for once more: the caller ends what is returned.
 *
 * Throws `batch_refused`; `scheduler_unavailable` when the job is not found; `interrupted` or `batch_left` when it is not
 * found, or nobody can say, and the stage is to end.
 */
export async function submitJob(submission: Submission, tools: SubmitTools, doubt?: Doubt): Promise<SchedulerId> {
  const { scheduler, call, stop } = tools;
  if (stop.aborted) throw interrupted(scheduler.title);
  const submitted = await scheduler.submit(submission, call);
  if (submitted.kind === "accepted") return submitted.id;
  if (submitted.kind === "refused") {
    throw new JacamarError("batch_refused", `${scheduler.title} refused the job:\n${submitted.said}`, {
      hint: "Check the arguments that the job asks for: account, queue or partition, time, nodes.",
    });
  }
  doubt?.begins();
  const id = await find(submission, submitted.said, tools);
  if (!stop.aborted) doubt?.ends();
  return id;
}

/** Looks for a job whose submission had no answer, and tells the log that it does. */
async function find({ name }: Submission, said: string, tools: SubmitTools): Promise<SchedulerId> {
  const { scheduler, call, userName, say, stop } = tools;
  const { title } = scheduler;
  const unanswered = `${title} did not say whether it has taken the job: ${said}`;
  const begin = performance.now();
  let answersSince: number | undefined;
  for (let wait = 500, looks = 0; ; wait = Math.min(wait * 1.5, longestPauseMilliseconds), looks += 1) {
    // Asked before the look, so that there is one after the stop.
    const isLast = stop.aborted;
    const found = await scheduler.find(name, userName, call);
    const [id] = found ?? [];
    if (id !== undefined) return id;
    if (isLast) throw found === undefined ? nobodyKnows(title, name) : interrupted(title);
    const now = performance.now();
    answersSince = found === undefined ? undefined : (answersSince ?? now);
    if (now - (answersSince ?? now) >= answeringMilliseconds || now - begin >= silentMilliseconds) break;
    if (looks === 1) {
      say(`${unanswered}. Looking for "${name}" in the queue for ${formatDuration(answeringMilliseconds)} at least`);
    }
    await pause(wait, stop);
  }
  throw new JacamarError("scheduler_unavailable", unanswered, {
    hint: "Retry the job: should it still be taken, it does nothing. If it stays, show this line to the administrators.",
  });
}

function interrupted(title: string): JacamarError {
  return new JacamarError("interrupted", `GitLab Runner ended this stage before ${title} had taken the job`);
}

function nobodyKnows(title: string, name: string): JacamarError {
  return new JacamarError(
    "batch_left",
    `Nobody knows whether ${title} has taken the job "${name}": it does not answer`,
    {
      hint: "Should it come to run, it does nothing.",
    },
  );
}
