// oxlint-disable no-control-regex -- Refusing control characters is what these expressions are for. They have no u flag:
// it doubles the time that a stage takes to build the schema, and JSON Schema takes expressions without flags.
import * as v from "valibot";
import { durationSchema } from "./duration.ts";
import { sizeSchema } from "./size.ts";

/** What is known of a key beside its type and its default. */
export interface KeyFacts {
  /** For the reference page and the JSON Schema: one short paragraph. */
  readonly description: string;
  /** For the reference page alone: what needs more room, in Markdown. */
  readonly details?: string;
  /** What a key without a default does when it is not set. */
  readonly unset?: string;
  /** Values that people will try, and why they are refused. */
  readonly refused?: Readonly<Record<string, string>>;
  /** The value may be a secret: no message repeats it. */
  readonly confidential?: true;
}

/** The kinds of value that a key can have, as the reference page names them. */
export type KindName =
  | "string"
  | "path"
  | "boolean"
  | "integer"
  | "duration"
  | "size"
  | "URL"
  | "image"
  | "regular expression"
  | "list of strings"
  | "list of regular expressions"
  | "list of KEY=VALUE"
  | "choice"
  | "table";

const keyFacts = new WeakMap<object, KeyFacts>();
const kindNames = new WeakMap<object, KindName>();

/** Gives a key its facts. `schema` must belong to this key alone. */
export function key<Schema extends v.GenericSchema>(facts: KeyFacts, schema: Schema): Schema {
  keyFacts.set(schema, facts);
  return schema;
}

/** The default of a key that has none: the key is always there, as undefined. */
export function unset(): undefined {
  return undefined;
}

export function factsOf(schema: v.GenericSchema): KeyFacts | undefined {
  return keyFacts.get(schema);
}

export function kindOf(schema: v.GenericSchema): KindName | undefined {
  return kindNames.get(withoutDefault(schema));
}

type OptionalSchema = v.OptionalSchema<v.GenericSchema, unknown>;
type ChoiceSchema = v.PicklistSchema<readonly string[], string>;
type TableSchema = v.StrictObjectSchema<v.ObjectEntries, string>;

function isOptional(schema: v.GenericSchema): schema is OptionalSchema {
  return schema.type === "optional";
}

function isTable(schema: v.GenericSchema): schema is TableSchema {
  return schema.type === "strict_object";
}

function isChoice(schema: v.GenericSchema): schema is ChoiceSchema {
  return schema.type === "picklist";
}

export function hasDefault(schema: v.GenericSchema): boolean {
  return isOptional(schema);
}

function withoutDefault(schema: v.GenericSchema): v.GenericSchema {
  return isOptional(schema) ? schema.wrapped : schema;
}

/** The keys of a table in the order of the schema, or undefined for anything that is no table. */
export function keysOf(schema: v.GenericSchema): ReadonlyMap<string, v.GenericSchema> | undefined {
  const table = withoutDefault(schema);
  return isTable(table) ? new Map(Object.entries(table.entries)) : undefined;
}

/** The values that a choice has, or undefined for anything that is no choice. */
export function optionsOf(schema: v.GenericSchema): readonly string[] | undefined {
  const choice = withoutDefault(schema);
  return isChoice(choice) ? choice.options : undefined;
}

function named<Schema extends v.GenericSchema>(name: KindName, schema: Schema): Schema {
  kindNames.set(schema, name);
  return schema;
}

// Every message below completes the sentence "expected …".

export function table<Entries extends v.ObjectEntries>(entries: Entries) {
  return named("table", v.strictObject(entries, "a table"));
}

export function boolean() {
  return named("boolean", v.boolean("true or false, without quotes"));
}

export function wholeNumber() {
  const expected = "a whole number, 0 or more";
  return named("integer", v.pipe(v.number(expected), v.safeInteger(expected), v.minValue(0, expected)));
}

export function duration() {
  return named("duration", durationSchema());
}

export function choice<const Options extends readonly [string, ...string[]]>(options: Options) {
  const quoted = options.map((option) => `"${option}"`);
  return named("choice", v.picklist(options, quoted.length === 1 ? String(quoted[0]) : `one of ${quoted.join(", ")}`));
}

export function text() {
  return named("string", matching(/^[^\x00]+$/, "text in quotes, not empty"));
}

export function oneLine(expected = "one line of text in quotes, not empty") {
  return named("string", matching(/^[^\x00-\x1f\x7f-\x9f]+$/, expected));
}

export function absolutePath(example: string) {
  return named("path", matching(/^\/[^\x00-\x1f\x7f-\x9f]*$/, `an absolute path, such as "${example}"`));
}

/** A path that may start in the job user's home. Podman's `--volume` gives a colon another meaning, hence none here. */
export function dataPath() {
  return named(
    "path",
    matching(
      /^(?:(?:\$HOME|~)(?=\/|$)|(?=\/))(?:\/(?!\.\.(?:\/|$))[^/:\x00-\x1f\x7f-\x9f]*)*$/,
      'an absolute path, or one that starts with "$HOME" or "~", with no ".." and no ":" in it',
    ),
  );
}

/** Where records of jobs go. */
export function recordLocation() {
  return named(
    "string",
    matching(
      /^(?:syslog|journald|(?:\$HOME|~|\$DATA_DIR)?(?:\/(?!\.{1,2}(?:\/|$))[^/\x00-\x1f\x7f-\x9f]+)+)$/,
      '"syslog", "journald" or a file, such as "/var/log/jacamar/jobs.jsonl"',
    ),
  );
}

/** node_exporter reads no file with another ending. */
export function metricsFile() {
  return named(
    "path",
    matching(
      /^(?:\/(?!\.{1,2}(?:\/|$))[^/\x00-\x1f\x7f-\x9f]+)+\.prom$/,
      'an absolute path that ends in .prom, such as "/var/lib/node_exporter/jacamar.prom"',
    ),
  );
}

export function url() {
  return named(
    "URL",
    matching(
      /^https?:\/\/[^\s\x00-\x1f\x7f-\x9f/][^\s\x00-\x1f\x7f-\x9f]*$/,
      'a URL, such as "https://gitlab.example.com"',
    ),
  );
}

export function variableName(example: string) {
  return named(
    "string",
    matching(/^[A-Za-z_][A-Za-z0-9_]*$/, `a variable name (letters, digits, _), such as "${example}"`),
  );
}

export function image() {
  return named(
    "image",
    matching(
      /^[^\s\x00-\x1f\x7f-\x9f-][^\s\x00-\x1f\x7f-\x9f]*$/,
      'an image name, such as "registry.example.com/group/image:1.0"',
    ),
  );
}

export function byteSize() {
  return named("size", sizeSchema());
}

export function sha256() {
  return named("string", matching(/^[0-9a-fA-F]{64}$/, "64 hexadecimal digits"));
}

export function strings(example = "--network=none") {
  const item = matching(/^[^\x00]+$/, "text in quotes, not empty");
  return named("list of strings", v.array(item, `a list of strings, such as ["${example}"]`));
}

/** A list whose empty form means the same as leaving the key out. */
export function stringsOrUnset(example: string) {
  return named(
    "list of strings",
    v.pipe(
      strings(example),
      v.transform((list) => (list.length === 0 ? undefined : list)),
    ),
  );
}

/** Whether a system has calls of these names, only its libseccomp knows. */
export function systemCalls(example: string) {
  const item = matching(/^[a-z_][a-z0-9_]{0,63}$/, `the name of a system call, such as "${example}"`);
  return named("list of strings", v.array(item, `a list of system calls, such as ["${example}"]`));
}

export function variableNames() {
  const item = matching(/^[A-Za-z_][A-Za-z0-9_]*$/, "a variable name (letters, digits, _)");
  return named("list of strings", v.array(item, 'a list of variable names, such as ["SCHEDULER_PARAMETERS"]'));
}

/** Whether each one is a regular expression, `inspect.ts` finds out: the engine is loaded only when a file has one. */
export function regularExpressions() {
  const expected = "a regular expression in quotes, not empty, at most 4096 characters";
  const item = v.pipe(v.string(expected), v.nonEmpty(expected), v.maxLength(4096, expected));
  return named("list of regular expressions", v.array(item, "a list of regular expressions, such as ['^reg/.*$']"));
}

export function assignments() {
  const item = matching(/^[A-Za-z_][A-Za-z0-9_]*=[^\x00]*$/, 'a string of the form "KEY=VALUE"');
  return named("list of KEY=VALUE", v.array(item, 'a list of strings of the form ["KEY=VALUE"]'));
}

/** Podman's pull policies. GitLab's name `if-not-present` becomes Podman's `missing`. */
export function pullPolicy() {
  return named(
    "choice",
    v.pipe(
      choice(["always", "missing", "if-not-present", "never", "newer"]),
      v.transform((policy) => (policy === "if-not-present" ? "missing" : policy)),
    ),
  );
}

/** The executors. `sbatch` and `bsub` are Jacamar CI's other names for two of them. */
export function executor() {
  return named(
    "choice",
    v.pipe(
      choice(["shell", "slurm", "sbatch", "flux", "pbs", "lsf", "bsub"]),
      v.transform((name) => (name === "sbatch" ? "slurm" : name === "bsub" ? "lsf" : name)),
    ),
  );
}

function matching(pattern: RegExp, expected: string) {
  return v.pipe(v.string(expected), v.regex(pattern, expected));
}
