import type { Answer, CallScheduler } from "./scheduler.ts";

/** How long calls of the scheduler's programs may go on, all of them together; whichever comes first. */
export interface Limit {
  /** By the clock of `performance.now()`. */
  readonly deadlineMilliseconds?: number;
  /** For each of them. */
  readonly callSeconds?: number;
  /** Ends them when it fires. */
  readonly stop?: AbortSignal;
}

/** No answer, as of a program that was killed. */
const noAnswer: Answer = { exitCode: undefined, stdout: "", stderr: "" };

/**
 * The same programs, none of which goes on for longer than that. What is called when the time is over, or after the stop, is not started,
 * and counts as no answer. So whoever asks several things has the time of all of them in hand.
 */
export function limited(call: CallScheduler, { deadlineMilliseconds, callSeconds, stop }: Limit): CallScheduler {
  return (argv, given = {}) => {
    const left = deadlineMilliseconds === undefined ? Infinity : (deadlineMilliseconds - performance.now()) / 1000;
    const seconds = Math.min(left, callSeconds ?? Infinity, given.seconds ?? Infinity);
    const signals = [stop, given.stop].filter((signal) => signal !== undefined);
    if (seconds <= 0 || signals.some(({ aborted }) => aborted)) return Promise.resolve(noAnswer);
    return call(argv, { seconds, ...(signals.length === 0 ? {} : { stop: AbortSignal.any(signals) }) });
  };
}

/** A deadline in so many seconds from now. */
export function inSeconds(seconds: number): number {
  return performance.now() + seconds * 1000;
}
