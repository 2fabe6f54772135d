import type { Answer, CallScheduler } from "../scheduler.ts";

/** A scheduler's programs, of which each answers what a test has written down; what was called is noted. */
export interface ScriptedCalls {
  readonly call: CallScheduler;
  readonly argv: readonly (readonly string[])[];
  /** The same, each as one line. */
  readonly made: readonly string[];
}

/** @param answers by the program's name; of several, one a call, the last for all further ones. */
export function scripted(answers: Readonly<Record<string, Answer | readonly Answer[]>>): ScriptedCalls {
  const argv: (readonly string[])[] = [];
  const made: string[] = [];
  const used = new Map<string, number>();
  const call: CallScheduler = ([program, ...args]) => {
    argv.push([program, ...args]);
    made.push([program, ...args].join(" "));
    const given = answers[program];
    const list: readonly Answer[] = given === undefined ? [] : isList(given) ? given : [given];
    const count = used.get(program) ?? 0;
    used.set(program, count + 1);
    const next = list[Math.min(count, list.length - 1)];
    return next === undefined ? Promise.reject(new Error(`${program} was not to be called`)) : Promise.resolve(next);
  };
  return { call, argv, made };
}

function isList(given: Answer | readonly Answer[]): given is readonly Answer[] {
  return Array.isArray(given);
}
