import type { ErrorCode } from "../error/codes.ts";
import { JacamarError } from "../error/error.ts";
import type { Subject } from "./subject.ts";

/** `wrong`: jobs fail, or work is lost without a word. `warning`: jobs run, more slowly or less surely than they could. */
export type Level = "warning" | "wrong";

/** Who types a command: the administrator, or the user whose account was looked at. */
export interface Remedy {
  readonly by: "root" | "user";
  readonly command: string;
}

/** Something that a check found. */
export interface Finding {
  /** As docs/doctor.md names it. Stable. */
  readonly name: string;
  readonly level: Level;
  /** What is found, without a full stop. */
  readonly text: string;
  /** What a user can do about it, or ask for: goes on after a colon. */
  readonly advice: string;
  readonly remedy?: Remedy;
}

/** What a check says: that all is well, in a few words; that it has nothing to look at here; or what it found. */
export type Outcome =
  | { readonly kind: "ok"; readonly text: string }
  | { readonly kind: "skipped"; readonly why: string }
  | { readonly kind: "found"; readonly findings: readonly Finding[] };

/** The entry of a finding in docs/doctor.md. */
export interface Entry {
  readonly level: Level;
  readonly means: string;
  readonly why: string;
  readonly todo: string;
}

/** A look at one part of the system, as a job would meet it. */
export interface Check {
  readonly name: string;
  /** For docs/doctor.md: what is looked at. */
  readonly looksAt: string;
  /** It reaches over the network, and is left out with `--no-network`. */
  readonly network: boolean;
  /** It can be asked for root, who runs no jobs; the others look at a user's own things. */
  readonly ofMachine: boolean;
  /** Failures of a stage that it may explain. */
  readonly explains: readonly ErrorCode[];
  readonly entries: Readonly<Record<string, Entry>>;
  /** Never throws for what a machine can be like, but for `JacamarError`, which is a finding of somebody else's. */
  look(subject: Subject): Promise<Outcome>;
}

/** What a check is made of. `report` makes its findings: the level of each stands in its entry. */
export interface CheckDefinition<Name extends string> extends Omit<Check, "entries" | "look"> {
  readonly entries: Readonly<Record<Name, Entry>>;
  look(subject: Subject, report: Report<Name>): Promise<Outcome>;
}

export type Report<Name extends string> = (name: Name, text: string, advice: string, remedy?: Remedy) => Finding;

/** Makes a check of its definition. */
export function defineCheck<Name extends string>(definition: CheckDefinition<Name>): Check {
  const report: Report<Name> = (name, text, advice, remedy) => ({
    name,
    level: definition.entries[name].level,
    text,
    advice,
    ...(remedy === undefined ? {} : { remedy }),
  });
  return { ...definition, look: (subject) => definition.look(subject, report) };
}

/** The outcome for what was found: all is well without any finding. */
export function outcomeOf(findings: readonly Finding[], ok: string): Outcome {
  return findings.length === 0 ? { kind: "ok", text: ok } : { kind: "found", findings };
}

export function skipped(why: string): Outcome {
  return { kind: "skipped", why };
}

export function asRoot(command: string): Remedy {
  return { by: "root", command };
}

export function asUser(command: string): Remedy {
  return { by: "user", command };
}

/** Whether an error is one that a check may meet on a broken system, and not a defect of ours. */
export function isExpected(error: unknown): error is JacamarError {
  return error instanceof JacamarError && error.code !== "internal";
}
