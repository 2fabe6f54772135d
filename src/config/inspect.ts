import type { TomlTable, TomlValue } from "smol-toml";
import * as v from "valibot";
import { JacamarError } from "../error/error.ts";
import { durationExpected } from "./duration.ts";
import { factsOf, keysOf, kindOf, optionsOf } from "./kinds.ts";
import { show, showPath } from "./problem.ts";
import { type Config, configSchema } from "./schema.ts";
import { isTomlTable, type Position, readToml, valueAt } from "./toml.ts";

export type Path = readonly (string | number)[];

/** A problem that has no place in the file yet: finding that takes a second parser, which is loaded only for this. */
export interface Fault {
  readonly path: Path;
  /** The key, or its value, or the place itself. */
  readonly at: "key" | "value" | Position;
  readonly message: string;
  readonly expected?: string;
  readonly suggestion?: string;
  /** What stands here should be a table, so nothing can be said about its keys. */
  readonly noTable?: true;
  /** The rule of docs/check.md that found it; absent for what the schema and the parser find. */
  readonly rule?: string;
  /** A word that may be a known one mistyped. */
  readonly mistyped?: { readonly word: string; readonly known: readonly string[] };
}

export interface Inspection {
  /** The text that places refer to, see `TomlText`; undefined when it is not TOML. */
  readonly text: string | undefined;
  /** What the file holds; undefined when it is not TOML. */
  readonly table: TomlTable | undefined;
  readonly slashes: readonly Position[];
  /** Undefined exactly when there are faults. */
  readonly config: Config | undefined;
  readonly faults: readonly Fault[];
  readonly warnings: readonly Fault[];
}

/** Finds everything that is wrong with the text of a configuration file. Throws for no text. */
export async function inspect(original: string): Promise<Inspection> {
  const toml = readToml(original);
  if ("reason" in toml) {
    const fault: Fault = { path: [], at: { line: toml.line, column: toml.column }, message: toml.reason };
    return { text: undefined, table: undefined, slashes: [], config: undefined, faults: [fault], warnings: [] };
  }
  const structure = structureFaults(toml.table, configSchema, []);
  const result = v.safeParse(configSchema, toml.table);
  const values = result.success ? [] : valueFaults(result.issues);
  const patterns = await patternFindings(toml.table);
  const noTables = structure.filter(({ noTable }) => noTable === true).map(({ path }) => path);
  const faults = [...structure, ...values, ...patterns.faults]
    .filter(({ path }) => !noTables.some((outer) => isBelow(path, outer)))
    .filter(isFirstAtItsPath());
  const config = result.success && faults.length === 0 ? result.output : undefined;
  return {
    text: toml.text,
    table: toml.table,
    slashes: toml.slashes,
    config,
    faults,
    warnings: [...toml.slashes.map(slashWarning), ...patterns.warnings],
  };
}

/** Unknown keys, and what stands where a table should. */
function structureFaults(table: TomlTable, schema: v.GenericSchema, path: Path): Fault[] {
  const keys = keysOf(schema) ?? new Map<string, v.GenericSchema>();
  return Object.entries(table).flatMap(([name, value]): Fault[] => {
    const here = [...path, name];
    const entry = keys.get(name);
    if (entry === undefined) return [unknownKey(here, value, [...keys.keys()])];
    if (keysOf(entry) === undefined) return [];
    if (isTomlTable(value)) return structureFaults(value, entry, here);
    const expected = `the table [${showPath(here)}]`;
    return [{ path: here, at: "key", message: `is ${show(value)}`, expected, noTable: true }];
  });
}

function unknownKey(path: Path, value: TomlValue, known: readonly string[]): Fault {
  const table = path.slice(0, -1);
  const atTop = isTomlTable(value) ? "is not a known table" : "stands outside of a table";
  const word = String(path.at(-1));
  const elsewhere = keyPaths(configSchema, []).find(
    // Not a whole table: nobody writes one for a key.
    (known) => known.at(-1) === word && known.length > 1,
  );
  return {
    path,
    at: "key",
    message: table.length === 0 ? atTop : `is not a key of [${showPath(table)}]`,
    ...(elsewhere === undefined ? { mistyped: { word, known } } : { suggestion: showPath(elsewhere) }),
  };
}

/** Every key that the schema knows below a table, the inner ones too. */
function keyPaths(schema: v.GenericSchema, path: Path): Path[] {
  return [...(keysOf(schema) ?? [])].flatMap(([name, entry]) => {
    const here = [...path, name];
    return [here, ...keyPaths(entry, here)];
  });
}

function valueFaults(issues: readonly v.InferIssue<typeof configSchema>[]): Fault[] {
  return issues.flatMap((issue): Fault[] => {
    const steps = issue.path ?? [];
    const path = steps.map(({ key }) => (typeof key === "number" ? key : String(key)));
    const origin = steps.at(-1)?.origin;
    if (origin === "key") return issue.expected === "never" ? [] : [missingKey(path)];
    // Not the input of the issue: a duration may have become a number there.
    return [wrongValue(path, steps.at(-1)?.value, issue.message)];
  });
}

function missingKey(path: Path): Fault {
  const schema = schemaAt(path);
  const issue = schema === undefined ? undefined : v.safeParse(schema, undefined).issues?.[0];
  const required = [...((schema && keysOf(schema)) ?? [])].filter(([, entry]) => !v.is(entry, undefined));
  const names = required.map(([name]) => name).join(" and ");
  return {
    path,
    at: "key",
    message: "is missing",
    expected: names === "" ? (issue?.message ?? "a value") : `the table [${showPath(path)}] with ${names}`,
  };
}

function wrongValue(path: Path, value: unknown, expected: string): Fault {
  const schema = schemaAt(path);
  const facts = schema && factsOf(schema);
  const refused = typeof value === "string" ? ownValue(facts?.refused, value) : undefined;
  if (refused !== undefined) return { path, at: "value", message: refused, expected };
  const shown = facts?.confidential === true && typeof value === "string" ? "this value" : show(value);
  const fault: Fault = { path, at: "value", message: `${shown} cannot be used`, expected };
  const options = schema && optionsOf(schema);
  if (options !== undefined && typeof value === "string")
    return { ...fault, mistyped: { word: value, known: options } };
  const bare = typeof value === "number" || typeof value === "string" ? String(value) : "";
  if (expected === durationExpected && /^\d{1,9}$/.test(bare)) return { ...fault, suggestion: `${bare}s` };
  return fault;
}

/** The schema of a key; for a value in a list that of the list. */
function schemaAt(path: Path): v.GenericSchema | undefined {
  let schema: v.GenericSchema | undefined = configSchema;
  for (const step of path) {
    if (typeof step === "number") return schema;
    schema = schema && keysOf(schema)?.get(step);
  }
  return schema;
}

function ownValue(record: Readonly<Record<string, string>> | undefined, name: string): string | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}

/** Compiles every regular expression of the file. The engine is loaded only when there is one. */
async function patternFindings(table: TomlTable): Promise<{ faults: Fault[]; warnings: Fault[] }> {
  const faults: Fault[] = [];
  const warnings: Fault[] = [];
  for (const path of keyPaths(configSchema, [])) {
    if (kindOf(schemaAt(path) ?? configSchema) !== "list of regular expressions") continue;
    const list = valueAt(table, path);
    if (!Array.isArray(list)) continue;
    if (list.length === 0)
      warnings.push({ path, at: "value", message: "is empty, so that nothing is allowed", rule: "empty-list" });
    for (const [index, source] of list.entries()) {
      if (typeof source !== "string" || source === "" || source.length > 4096) continue;
      const here: Path = [...path, index];
      const { compilePattern } = await import("./patterns.ts");
      const { openEnds } = await import("./anchors.ts");
      try {
        compilePattern(source);
      } catch (error) {
        if (!(error instanceof JacamarError)) throw error;
        const expected = "a regular expression in RE2's syntax";
        faults.push({ path: here, at: "value", message: `${show(source)} cannot be used: ${error.message}`, expected });
        continue;
      }
      const message = openMessage(openEnds(source));
      if (message !== undefined) {
        warnings.push({ path: here, at: "value", message: `${show(source)} ${message}`, rule: "open-pattern" });
      }
    }
  }
  return { faults, warnings };
}

function openMessage({ start, end }: { start: boolean; end: boolean }): string | undefined {
  if (start && end) {
    return 'is not anchored with ^ and $: it also matches names that only contain such a name, as in "evil.example/<name>/x"';
  }
  if (start)
    return 'is not anchored with ^: it also matches names that end with such a name, as in "evil.example/<name>"';
  if (end)
    return 'is not anchored with $: it also matches names that begin with such a name, as in "<name>-of-others/x"';
  return undefined;
}

function slashWarning(at: Position): Fault {
  return {
    path: [],
    at,
    message: "\\/ is not TOML and was read as /",
    rule: "toml-slash",
    expected: "single quotes '…', in which a backslash is only a backslash",
  };
}

function isBelow(path: Path, outer: Path): boolean {
  return path.length > outer.length && outer.every((step, index) => step === path[index]);
}

/** A value can break several rules that expect the same of it. */
function isFirstAtItsPath(): (fault: Fault) => boolean {
  const seen = new Set<string>();
  return ({ path }) => {
    const name = JSON.stringify(path);
    return path.length === 0 || (!seen.has(name) && seen.add(name) !== undefined);
  };
}
