import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type * as v from "valibot";
import { configurationJsonSchema } from "./json-schema.ts";
import { factsOf, keysOf, kindOf } from "./kinds.ts";
import { configurationReference } from "./reference.ts";
import { configSchema } from "./schema.ts";

function allKeys(schema: v.GenericSchema, path: readonly string[] = []): [string, v.GenericSchema][] {
  return [...(keysOf(schema) ?? [])].flatMap(([name, entry]) => {
    const here = [...path, name];
    return [[here.join("."), entry] as [string, v.GenericSchema], ...allKeys(entry, here)];
  });
}

function documentedKeys(page: string): string[] {
  let table = "";
  return page.split("\n").flatMap((line) => {
    table = /^## `\[(.*)\]`$/.exec(line)?.[1] ?? table;
    const name = /^\| `([^`]+)` \|/.exec(line)?.[1];
    return name === undefined ? [] : [`${table}.${name}`];
  });
}

test("configSchema gives every key a kind and a description", () => {
  for (const [path, schema] of allKeys(configSchema)) {
    assert.ok(kindOf(schema) !== undefined, path);
    assert.match(factsOf(schema)?.description ?? "", /^.{10,}\.$/s, path);
  }
});

test("configSchema says of every key without a default what it means that it is not set", () => {
  assert.doesNotMatch(configurationReference(), /not set: *\|/);
});

test("configurationReference() has a row for every key", () => {
  const keys = allKeys(configSchema).filter(([, schema]) => keysOf(schema) === undefined);
  assert.deepEqual(documentedKeys(configurationReference()).toSorted(), keys.map(([path]) => path).toSorted());
});

test("configurationReference() shows type, default and the note on anchors", () => {
  const page = configurationReference();
  assert.match(page, /\| `executor` \| `"shell"`, `"slurm"`.* \| required \|/);
  assert.match(page, /\| `kill_timeout` \| duration \| `"120s"` \|/);
  assert.match(page, /\| `tty` \| boolean \| `true` \|/);
  assert.match(page, /### `image_allowlist`\n\n.*linear time[^]*unless it is anchored/);
  for (const row of page.split("\n").filter((line) => line.startsWith("| `"))) {
    assert.equal(row.match(/(?<!\\)\|/g)?.length, 5, row);
  }
});

test("configurationJsonSchema() describes every key and knows no other", () => {
  const schema = configurationJsonSchema();
  const text = JSON.stringify(schema);
  const general = schema.properties?.["general"];
  assert.ok(typeof general === "object");
  assert.equal(general.additionalProperties, false);
  assert.deepEqual(general.required, ["executor", "data_dir"]);
  for (const [name, property] of Object.entries(general.properties ?? {})) {
    assert.ok(typeof property === "object" && property.description !== undefined, name);
  }
  assert.deepEqual(general.properties?.["kill_timeout"], {
    description: "The longest wait between SIGTERM and SIGKILL when a job is ended.",
    type: "string",
    pattern: "^(?:(?:\\d+(?:\\.\\d*)?|\\.\\d+)(?:ns|us|\\u00b5s|\\u03bcs|ms|s|m|h))+$",
    default: "120s",
  });
  assert.match(text, /"enum":\["none","docker-archive","docker-dir","oci-archive","oci-dir"\]/);
});

test("docs/ holds the pages that the schema gives (npm run docs writes them)", () => {
  const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");
  assert.equal(read("configuration.md"), configurationReference());
  assert.equal(read("jacamar.schema.json"), `${JSON.stringify(configurationJsonSchema(), undefined, 2)}\n`);
});
