import { type JsonSchema, toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import { factsOf, keysOf } from "./kinds.ts";
import { configSchema } from "./schema.ts";

/**
 * The JSON Schema (draft-07, which editors for TOML understand) of the configuration file. It refuses what the program
 * refuses, except expressions that are none and durations that are too long.
 */
export function configurationJsonSchema(): JsonSchema {
  const { $schema, ...schema } = toJsonSchema(configSchema, { target: "draft-07", typeMode: "input" });
  return {
    ...($schema === undefined ? {} : { $schema }),
    title: "The configuration of Jacamar CI (jacamar.toml)",
    ...described(schema, configSchema),
  };
}

/** Adds the facts of each key. */
function described(json: JsonSchema, schema: v.GenericSchema): JsonSchema {
  const facts = factsOf(schema);
  const keys = keysOf(schema);
  const properties = Object.entries(json.properties ?? {}).map(([name, property]) => {
    const entry = keys?.get(name);
    return [
      name,
      entry === undefined || typeof property === "boolean" ? property : described(property, entry),
    ] as const;
  });
  return {
    ...(facts === undefined ? {} : { description: facts.description }),
    ...json,
    ...(keys === undefined ? {} : { properties: Object.fromEntries(properties) }),
  };
}
