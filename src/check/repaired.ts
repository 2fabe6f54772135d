import type { TomlTable, TomlValue } from "smol-toml";
import * as v from "valibot";
import type { Inspection, Path } from "../config/inspect.ts";
import { type Config, configSchema } from "../config/schema.ts";
import { isTomlTable } from "../config/toml.ts";

/** What stands for the keys that every file has, where they are missing or wrong. No rule has anything to say of it. */
const required: Readonly<Record<string, string>> = { executor: "shell", data_dir: "$HOME" };

/**
 * The configuration without what is wrong in it, so that the rules find at once what they would find after the next
 * repair. Undefined when there is nothing to go by.
 */
export function repaired({ config, table, faults }: Inspection): Config | undefined {
  if (config !== undefined || table === undefined) return config;
  let copy = faults.reduce<TomlTable>((rest, { path }) => without(rest, path), table);
  const general = isTomlTable(copy["general"]) ? copy["general"] : {};
  copy = { ...copy, general: { ...required, ...general } };
  const result = v.safeParse(configSchema, copy);
  return result.success ? result.output : undefined;
}

/** A copy without the value at a path; of a list the whole list goes, since the places of the others must stay. */
function without(table: TomlTable, path: Path): TomlTable {
  const [step, next] = path;
  if (typeof step !== "string" || !Object.hasOwn(table, step)) return table;
  const value: TomlValue | undefined = table[step];
  if (typeof next === "string" && isTomlTable(value)) return { ...table, [step]: without(value, path.slice(1)) };
  const { [step]: _, ...rest } = table;
  return rest;
}
