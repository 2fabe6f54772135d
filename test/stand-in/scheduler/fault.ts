import { toRecord } from "./protocol.ts";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** What goes wrong when a program is called. It lies as JSON in `faults/PROGRAM` of the state directory. */
export interface Fault {
  readonly kind: FaultKind;
  /** How many calls it spoils; without it every one. */
  readonly times?: number;
  /** How many calls go well before. */
  readonly after?: number;
  /** Milliseconds that a slow answer takes, or after which what was given up is done all the same. */
  readonly milliseconds?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exitCode?: number;
}

export type FaultKind =
  /** The controller cannot be reached, in the scheduler's own words; or `stdout`, `stderr` and `exitCode` when given. */
  | "fails"
  /** It works, after a while. */
  | "slow"
  /** It does nothing and does not end. */
  | "hangs"
  /** It does its work and prints the first half of its answer, with `exitCode` or 0. */
  | "half"
  /** It does nothing, prints what nobody understands, and ends with `exitCode` or 0. */
  | "nonsense"
  /** It does its work and is killed before it prints, after `milliseconds` when given. */
  | "dies"
  /** The controller cannot be reached, as for `fails`; and yet it does the work, when the program has long ended. */
  | "late";

const kinds: readonly FaultKind[] = ["fails", "slow", "hangs", "half", "nonsense", "dies", "late"];

/** Takes the fault for this call, if there is one, and counts it. */
export function takeFault(stateDirectory: string, program: string): Fault | undefined {
  const path = `${stateDirectory}/faults/${program}`;
  const fault = readFault(path);
  if (fault === undefined) return undefined;
  if (fault.after !== undefined && fault.after > 0) {
    replace(path, { ...fault, after: fault.after - 1 });
    return undefined;
  }
  if (fault.times !== undefined) {
    if (fault.times > 1) replace(path, { ...fault, times: fault.times - 1 });
    else rmSync(path, { force: true });
  }
  return fault;
}

function readFault(path: string): Fault | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  const record = toRecord(JSON.parse(text));
  const kind = kinds.find((each) => each === record["kind"]);
  if (kind === undefined) return undefined;
  const number = (name: string) => (typeof record[name] === "number" ? { [name]: record[name] } : {});
  const words = (name: string) => (typeof record[name] === "string" ? { [name]: record[name] } : {});
  return {
    kind,
    ...number("times"),
    ...number("after"),
    ...number("milliseconds"),
    ...number("exitCode"),
    ...words("stdout"),
    ...words("stderr"),
  };
}

function replace(path: string, fault: Fault): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(fault));
  renameSync(temporary, path);
}

/** Counts a call: a byte in the file `calls/PROGRAM` of the state directory. */
export function countCall(stateDirectory: string, program: string): void {
  mkdirSync(`${stateDirectory}/calls`, { recursive: true });
  writeFileSync(`${stateDirectory}/calls/${program}`, ".", { flag: "a" });
}
