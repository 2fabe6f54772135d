import type { Answer, CallScheduler } from "../scheduler.ts";

/** Programs that do not end by themselves, but as their callers want it; after a minute at the latest, as all do. */
export interface HangingCalls {
  readonly call: CallScheduler;
  /** What was called, each as one line. */
  readonly made: readonly string[];
}

const noAnswer: Answer = { exitCode: undefined, stdout: "", stderr: "" };
const longestSeconds = 60;

/** @param answers the programs, by the beginnings of their command lines, that do answer. */
export function hanging(answers: Readonly<Record<string, Answer>> = {}): HangingCalls {
  const made: string[] = [];
  const call: CallScheduler = (argv, { seconds = longestSeconds, stop } = {}) => {
    const line = argv.join(" ");
    made.push(line);
    const answer = Object.entries(answers).find(([beginning]) => line.startsWith(beginning))?.[1];
    if (answer !== undefined) return Promise.resolve(answer);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(noAnswer), Math.min(seconds, longestSeconds) * 1000);
      stop?.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve(noAnswer);
      });
    });
  };
  return { call, made };
}
