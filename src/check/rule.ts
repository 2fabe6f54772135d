import type { TomlTable } from "smol-toml";
import type { Fault } from "../config/inspect.ts";
import type { Config } from "../config/schema.ts";

/** What a rule looks at. */
export interface CheckSubject {
  /** The file's content; without what is wrong in it, where something is. */
  readonly config: Config;
  readonly table: TomlTable;
  /** Undefined for a text that is no file here. */
  readonly file: { readonly path: string; readonly uid: number; readonly mode: number } | undefined;
  /** The file is for another machine: nothing of this one says anything about it. */
  readonly elsewhere: boolean;
}

/** An entry of docs/check.md. */
export interface Documented {
  /** As messages and docs/check.md name it. Stable. */
  readonly name: string;
  /** `problem`: jobs fail, or a protection is none. `warning`: allowed, and probably not meant. */
  readonly severity: "problem" | "warning";
  readonly means: string;
  readonly why: string;
  readonly remedy: string;
}

/** Something that the schema of the configuration cannot know. */
export interface Rule extends Documented {
  /** What it finds. Never throws for what a file or a machine can hold. */
  find(subject: CheckSubject): readonly Finding[] | Promise<readonly Finding[]>;
}

/** The name of the rule and its place in the file are added by who asks. */
export type Finding = Omit<Fault, "rule">;
