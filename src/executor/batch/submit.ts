import { JacamarError } from "../../error/error.ts";
import { pause } from "../../process/signals.ts";
import type { BatchTools } from "./following.ts";
import { callSeconds } from "./programs.ts";
import { formatDuration } from "./job-watch.ts";
import { inSeconds, limited } from "./call-limit.ts";
import { plainId } from "./own-id.ts";
import type { SchedulerId, Submission, Submitted } from "./scheduler.ts";

/** What submitting needs. */
export type SubmitTools = Pick<BatchTools, "scheduler" | "call" | "userName" | "say" | "stop">;

/** A job that the scheduler has. */
export interface Taken {
  readonly id: SchedulerId;
  /** Whether that is the scheduler's word. Else it is the job's own, which says nothing of what else may have this number. */
  readonly sure: boolean;
}

/** What a job that has begun has left of itself, where it can be seen. */
export interface Traces {
  /** What it says that it is called. */
  readonly own: () => string | undefined;
  /** The same of jobs of the same name that were there before it. */
  readonly earlier: () => readonly string[];
}

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
/** When the stage is to end: for the answer to a submission, and for the last look. */
const lastAnswerSeconds = 10;
const lastLookSeconds = 30;

/**
 * Submits a job. A submission without an answer may have been accepted, now or when the scheduler can work again: so the job is
 * looked for by its name, for a minute at least, and by its traces, since it may have ended by then. When the stage is to end it is
 * looked for once more: the caller ends what is returned.
 *
 * Throws `batch_refused`; `scheduler_unavailable` when the job is not found; `interrupted` or `batch_left` when it is not
 * found, or nobody can say, and the stage is to end.
 */
export async function submitJob(
  submission: Submission,
  tools: SubmitTools,
  traces?: Traces,
  doubt?: Doubt,
): Promise<Taken> {
  const { scheduler, stop } = tools;
  if (stop.aborted) throw interrupted(scheduler.title);
  const submitted = await submitOnce(submission, tools);
  if (submitted.kind === "accepted") return { id: submitted.id, sure: true };
  if (submitted.kind === "refused") {
    throw new JacamarError("batch_refused", `${scheduler.title} refused the job:\n${submitted.said}`, {
      hint: "Check the arguments that the job asks for: account, queue or partition, time, nodes.",
    });
  }
  doubt?.begins();
  const taken = await find(submission, submitted.said, tools, traces);
  if (!stop.aborted) doubt?.ends();
  return taken;
}

/** A stage that is to end still gives the answer a little time: it says most surely what is to be taken back. */
async function submitOnce(submission: Submission, { scheduler, call, stop }: SubmitTools): Promise<Submitted> {
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onStop = () => {
    timer = setTimeout(() => over.abort(), lastAnswerSeconds * 1000);
  };
  stop.addEventListener("abort", onStop, { once: true });
  try {
    return await scheduler.submit(submission, limited(call, { stop: over.signal }));
  } finally {
    stop.removeEventListener("abort", onStop);
    clearTimeout(timer);
  }
}

/** Looks for a job whose submission had no answer, and tells the log that it does. */
async function find(
  { name }: Submission,
  said: string,
  tools: SubmitTools,
  traces: Traces | undefined,
): Promise<Taken> {
  const { scheduler, say, stop } = tools;
  const { title } = scheduler;
  const unanswered = `${title} did not say whether it has taken the job: ${said}`;
  const begin = performance.now();
  let answersSince: number | undefined;
  for (let wait = 500, looks = 0; ; wait = Math.min(wait * 1.5, longestPauseMilliseconds), looks += 1) {
    // Asked before the look, so that there is one after the stop.
    const isLast = stop.aborted;
    // The last look has its own time; others are cut off by the stop, and by the end of the search.
    const limit = isLast
      ? { deadlineMilliseconds: inSeconds(lastLookSeconds) }
      : { deadlineMilliseconds: begin + silentMilliseconds, stop };
    const limits = { ...tools, call: limited(tools.call, limit) };
    const { answered, taken } = await look(name, limits, traces);
    if (taken !== undefined) return taken;
    if (isLast) throw answered ? interrupted(title) : nobodyKnows(title, name);
    const now = performance.now();
    const isFirst = answered && answersSince === undefined;
    answersSince = answered ? (answersSince ?? now) : undefined;
    const isOver = now - (answersSince ?? now) >= answeringMilliseconds || now - begin >= silentMilliseconds;
    const ended = traces !== undefined && answered && (isFirst || isOver) && (await findEnded(name, limits, traces));
    if (ended) return ended;
    if (stop.aborted) continue;
    if (isOver) break;
    if (looks === 1) {
      say(`${unanswered}. Looking for "${name}" in the queue for ${formatDuration(answeringMilliseconds)} at least`);
    }
    await pause(wait, stop);
  }
  throw new JacamarError("scheduler_unavailable", unanswered, {
    hint: "Retry the job: should it still be taken, it does nothing. If it stays, show this line to the administrators.",
  });
}

/** One look: in the queue, and at what the job has left if it has begun. It may have ended since, or nobody answers. */
async function look(
  name: string,
  { scheduler, call, userName }: SubmitTools,
  traces: Traces | undefined,
): Promise<{ readonly answered: boolean; readonly taken?: Taken }> {
  const found = await scheduler.find(name, userName, call);
  const answered = found !== undefined;
  const id = found?.find((each) => isNew(each, traces));
  if (id !== undefined) return { answered, taken: { id, sure: true } };
  const own = scheduler.readOwnId(traces?.own() ?? "");
  if (own === undefined || !isNew(own, traces)) return { answered };
  const identity = await scheduler.identify(own, name, userName, call);
  return identity === "another" ? { answered } : { answered, taken: { id: own, sure: identity === "ours" } };
}

/** A job that has ended before it could leave a trace, as far as the scheduler remembers. */
async function findEnded(
  name: string,
  { scheduler, call, userName }: SubmitTools,
  traces: Traces,
): Promise<Taken | undefined> {
  const found = await scheduler.findEnded(name, userName, call);
  const id = found?.findLast((each) => isNew(each, traces));
  return id === undefined ? undefined : { id, sure: true };
}

/** All steps of a CI job have one name, and the one before may still be in the queue, or remembered. */
function isNew(id: SchedulerId, traces: Traces | undefined): boolean {
  return !(traces?.earlier() ?? []).some((other) => plainId(other) === plainId(id));
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
