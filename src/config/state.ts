import * as v from "valibot";
import { JacamarError } from "../error/error.ts";
import { formatDuration } from "./duration.ts";
import { keysOf, kindOf } from "./kinds.ts";
import { type Config, configSchema } from "./schema.ts";
import { exactSize } from "./size.ts";

/**
 * The checked configuration as one line of JSON for the later stages, which get no `--configuration`. The values are
 * those that the file would have, so that the one schema reads both.
 */
export function packConfig(config: Config): string {
  return JSON.stringify(asInFile(config, configSchema));
}

/** The configuration that `packConfig` packed. Throws `state_missing` for anything else. */
export function unpackConfig(text: string): Config {
  const result = v.safeParse(configSchema, parseJson(text));
  if (result.success) return result.output;
  throw broken();
}

function asInFile(value: unknown, schema: v.GenericSchema): unknown {
  const keys = keysOf(schema);
  if (keys !== undefined && typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => {
        const entry = keys.get(name);
        return [name, entry === undefined ? inner : asInFile(inner, entry)];
      }),
    );
  }
  if (typeof value !== "number") return value;
  switch (kindOf(schema)) {
    case "duration":
      return formatDuration(value);
    case "size":
      return exactSize(value);
    default:
      return value;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw broken();
  }
}

function broken(): JacamarError {
  return new JacamarError("state_missing", "The configuration that the config stage handed on cannot be read", {
    hint: "This program may have been replaced while the job ran. Run the job again.",
  });
}
