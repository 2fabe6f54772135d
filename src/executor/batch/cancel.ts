import { JacamarError } from "../../error/error.ts";
import { pause } from "../../process/signals.ts";
import { inSeconds, limited } from "./call-limit.ts";
import type { CallScheduler, Scheduler, SchedulerId } from "./scheduler.ts";

/** What is to be ended. */
export interface Cancellation {
  /** Jobs that are known. More may be found by the name. */
  readonly ids: readonly SchedulerId[];
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly call: CallScheduler;
  readonly userName: string;
}

/** How long ending a job may take, whatever the scheduler's programs do. */
export const cancelSeconds = 90;
/** A program that hangs must leave the others time. A client that cannot reach its controller says so within that, as a rule. */
export const cancelCallSeconds = 25;

/**
 * Cancels the user's jobs of a name, and those that are known, until the scheduler says that none is left. Returns how many there were.
 * Throws `batch_left` when it does not say so in time.
 *
 * @param deadline by the clock of `performance.now()`. No call goes on after it.
 */
export async function cancelAndVerify(
  what: Cancellation,
  onLook: () => void,
  deadline: number = inSeconds(cancelSeconds),
): Promise<number> {
  const { scheduler } = what;
  const call = limited(what.call, { deadlineMilliseconds: deadline, callSeconds: cancelCallSeconds });
  const cancelled = new Set<SchedulerId>();
  let left: readonly SchedulerId[] | undefined = what.ids;
  let wait = 100;
  for (;;) {
    for (const id of left ?? []) {
      await scheduler.cancel(id, call);
      cancelled.add(id);
    }
    await pause(Math.min(wait, Math.max(0, deadline - now())));
    wait = Math.min(wait * 2, 2000);
    onLook();
    left = await scheduler.find(what.name, what.userName, call);
    if (left?.length === 0) return cancelled.size;
    if (now() >= deadline) break;
  }
  const which = left === undefined ? `${scheduler.title} does not answer` : `still there: ${left.join(", ")}`;
  throw new JacamarError("batch_left", `The ${scheduler.title} job "${what.name}" could not be ended: ${which}`, {
    hint: "Cancel it by hand, or ask the administrators to.",
  });
}

function now(): number {
  return performance.now();
}
