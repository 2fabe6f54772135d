import type { Answer, CallScheduler, SchedulerId } from "../scheduler.ts";

/** Programs of a scheduler that answer what was recorded, and note how they were called. */
export interface Recorded {
  readonly call: CallScheduler;
  /** The command lines so far. */
  readonly calls: readonly (readonly string[])[];
}

/** An answer; what is left out is empty, and the exit code 0. */
export type Recording = Partial<Answer>;

/** Answers one call after the other. A call too many fails. */
export function recorded(...answers: readonly Recording[]): Recorded {
  const calls: (readonly string[])[] = [];
  return {
    calls,
    call: (argv) => {
      const answer = answers[calls.length];
      calls.push(argv);
      if (answer === undefined) throw new Error(`One call too many: ${argv.join(" ")}`);
      return Promise.resolve({ exitCode: 0, stdout: "", stderr: "", ...answer });
    },
  };
}

/** A text as an id, which it need not be. */
export function toId(text: string): SchedulerId {
  if (!isId(text)) throw new TypeError("an id is not empty");
  return text;
}

function isId(text: string): text is SchedulerId {
  return text !== "";
}
