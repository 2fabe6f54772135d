/**
 * What the command hands to the page, as JSON in the page itself. A hundred thousand jobs are columns of numbers, not
 * objects: small, and quickly read. Every text in it may be of a user's choosing, and is shown as text.
 */
export interface PageData {
  readonly version: 1;
  readonly title: string;
  /** When the page was made, in UTC. */
  readonly made: string;
  readonly program: string;
  readonly lists: Lists;
  /** How many jobs. */
  readonly count: number;
  /** The beginning of the first one, in seconds since 1970; the column `time` counts from there. */
  readonly from: number;
  readonly columns: Readonly<Record<ColumnName, string>>;
  /** Jobs that can be looked at one by one. */
  readonly details: readonly Detail[];
  /** Error codes: whose fault, and what they mean. */
  readonly errors: Readonly<Record<string, { readonly blame: string; readonly means: string }>>;
  readonly foreignLines: number;
  readonly forgedLines: number;
}

/** Texts that columns refer to by their place; the place 0 of each is "": not known. */
export interface Lists {
  readonly projects: readonly string[];
  readonly accounts: readonly string[];
  readonly executors: readonly string[];
  readonly errors: readonly string[];
  readonly images: readonly string[];
  readonly instances: readonly string[];
}

/** Columns of 32 bits: seconds since the first job, and places in long lists. */
export const wideColumns = ["time", "project", "image"] as const;
/** Columns of 16 bits: places in short lists, and durations as {@link packSeconds} has them. */
export const narrowColumns = [
  "outcome",
  "account",
  "executor",
  "error",
  "instance",
  "cache",
  "attempts",
  "total",
  "script",
  "overhead",
  "queue",
  "step_directories",
  "step_prep_script",
  "step_login",
  "step_pull",
  "step_trial",
  "step_archive",
  "step_container",
  "step_script",
  "step_end",
  "step_containers",
  "step_processes",
  "step_files",
] as const;

export type WideColumn = (typeof wideColumns)[number];
export type NarrowColumn = (typeof narrowColumns)[number];
export type ColumnName = WideColumn | NarrowColumn;

/** In the order of the column `outcome`. */
export const outcomes = ["passed", "failed", "error", "stopped"] as const;

/** A job that can be looked at. */
export interface Detail {
  /** Its row in the columns. */
  readonly row: number;
  readonly job: string;
  readonly name: string;
  /** Facts for people, in order: what it is, and its value. */
  readonly facts: readonly (readonly [string, string])[];
  readonly stages: readonly DetailStage[];
}

/** Name, when it began and how long it took in seconds, outcome (its place), error, and the same of its steps. */
export type DetailStage = readonly [
  name: string,
  at: number,
  seconds: number,
  outcome: number,
  error: string,
  steps: readonly (readonly [name: string, at: number, seconds: number])[],
];

/** Durations are kept to 0.04 %, from a millisecond to 75 days: a place on a logarithmic scale. 0: not known; 1: less than that. */
const scale = 2900;

/** A duration as a number of 16 bits. */
export function packSeconds(seconds: number | undefined): number {
  if (seconds === undefined) return 0;
  if (seconds < 0.001) return 1;
  return Math.min(65_535, 2 + Math.round(Math.log(seconds * 1000) * scale));
}

/** The duration; NaN when it is not known. */
export function unpackSeconds(packed: number): number {
  if (packed === 0) return Number.NaN;
  return packed === 1 ? 0 : Math.exp((packed - 2) / scale) / 1000;
}
