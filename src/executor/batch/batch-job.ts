import { JacamarError } from "../../error/error.ts";
import { pause } from "../../process/signals.ts";
import { inSeconds, limited } from "./call-limit.ts";
import { cancelAndVerify, cancelCallSeconds, cancelSeconds } from "./cancel.ts";
import { Follower } from "./follower.ts";
import type { BatchEnd, BatchTools, Handle } from "./following.ts";
import { JobWatch } from "./job-watch.ts";
import { callSeconds } from "./programs.ts";
import { queueTimeout } from "./queue-timeout.ts";
import type { CallScheduler, QueueState, SchedulerId, Submission } from "./scheduler.ts";
import { otherOwnIds, plainId, readOwnId } from "./own-id.ts";
import { submitJob, type Taken } from "./submit.ts";
import { setWanted } from "./wanted.ts";

/**
 * Submits a job and follows it to its end: what it prints is passed on as it comes, and the log is told what the scheduler
 * does with it. When the stage is to end, the job is ended and verified to be gone.
 *
 * Throws `batch_refused`, `scheduler_unavailable`, `queue_timeout`, or `batch_left` when the job could not be ended.
 */
export async function runBatchJob(submission: Submission, tools: BatchTools): Promise<BatchEnd> {
  const { scheduler, board, say } = tools;
  const { wanted, ownId } = tools.files;
  // A job that is taken late waits until it is found, so that none can come and go between two looks.
  const doubt = { begins: () => setWanted(wanted, "perhaps"), ends: () => setWanted(wanted, "yes") };
  const traces = { own: () => readOwnId(ownId), earlier: () => otherOwnIds(ownId) };
  const taken = await submitJob(submission, tools, traces, doubt);
  say(`Submitted as ${scheduler.title} job ${taken.id} (${submission.name})`);
  if (taken.sure) board?.note(taken.id);
  try {
    return await new Follower(jobHandle(taken, submission.name, tools), tools).follow();
  } finally {
    board?.close();
  }
}

/**
 * The handle of a job. Of one that only says itself which it is, nothing is believed and nothing is ended by its number until the
 * scheduler says that it is this one; its files and its name are good enough meanwhile.
 */
function jobHandle({ id: given, sure }: Taken, name: string, tools: BatchTools): Handle {
  const { scheduler, call, board, stop, userName, files } = tools;
  let id = given;
  let isSure = sure;
  const isOurs = async (limit: CallScheduler) => {
    isSure ||= (await scheduler.identify(id, name, userName, limit)) === "ours";
    return isSure;
  };
  // Submitted twice, by a script of the site's that tries again: the other one has begun first, and this one does nothing.
  const isAnother = async (limit: CallScheduler) => {
    const own = scheduler.readOwnId(readOwnId(files.ownId) ?? "");
    if (own === undefined || plainId(own) === plainId(id)) return false;
    if ((await scheduler.identify(own, name, userName, limit)) !== "ours") return false;
    tools.say(`It was submitted more than once, and runs as ${scheduler.title} job ${own}`);
    id = own;
    return true;
  };
  const askWithin = (seconds: number) => limited(call, { deadlineMilliseconds: inSeconds(seconds), stop });
  const askDirectly = async (limit: CallScheduler): Promise<QueueState> => {
    if (!(await isOurs(limit))) return { kind: "unknown", said: `${scheduler.title} does not say whose job ${id} is` };
    const states = await scheduler.ask([id], limit);
    const kind = states.get(id)?.kind;
    if (kind !== "pending" && kind !== "running" && (await isAnother(limit))) return askDirectly(limit);
    return states.get(id) ?? { kind: "unknown", said: "the answer does not name the job" };
  };
  return {
    get id() {
      return id;
    },
    title: `${scheduler.title} job ${given}`,
    ask: (oldest, seconds = callSeconds) =>
      board && sure && id === given && oldest > 0
        ? board.ask(id, oldest, (ids) => scheduler.ask(ids, askWithin(seconds)), stop)
        : askDirectly(askWithin(seconds)),
    terminate: async (seconds) => {
      const limit = limited(call, { deadlineMilliseconds: inSeconds(seconds) });
      if (await isOurs(limit)) await scheduler.terminate(id, limit);
    },
    end: async (onLook) => {
      const deadline = inSeconds(cancelSeconds);
      const known = await isOurs(limited(call, { deadlineMilliseconds: inSeconds(cancelCallSeconds) }));
      return cancelAndVerify({ ids: known ? [id] : [], name, scheduler, call, userName }, onLook, deadline);
    },
  };
}

/**
 * Waits until a job runs, and tells the log what it waits for. When it waits too long it is ended; when the stage is to end, too, unless
 * it is others' as well.
 * Throws `queue_timeout`, `batch_ended` when it has ended before it began, or `batch_left`.
 */
export async function awaitStart(
  id: SchedulerId,
  name: string,
  tools: BatchTools,
  whose: "own" | "shared" = "own",
): Promise<void> {
  const handle = jobHandle({ id, sure: true }, name, tools);
  const watch = new JobWatch(handle.title, tools.patience, now());
  const { stop } = tools;
  while (!watch.running) {
    const verdict = watch.verdict(now());
    if ((stop.aborted && whose === "own") || verdict?.kind === "queue-timeout") await handle.end(() => undefined);
    if (stop.aborted) return;
    if (verdict?.kind === "queue-timeout") throw queueTimeout(handle.title, verdict.seconds);
    if (verdict?.kind === "ended") {
      throw new JacamarError("batch_ended", `${handle.title} has ended before it began: ${verdict.state.said}`);
    }
    if (now() >= watch.askAt) {
      const state = await handle.ask(watch.oldestAnswerMilliseconds);
      for (const line of watch.answered(state, now())) tools.say(line);
    }
    await pause(Math.max(0, Math.min(1000, watch.askAt - now())), stop);
  }
}

function now(): number {
  return performance.now();
}
