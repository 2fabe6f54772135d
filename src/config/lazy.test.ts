import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

// A stage's start-up is paid twelve times a job: what a right file does not need must not be loaded.
const loaded: string[] = [];
registerHooks({
  load(url, context, next) {
    loaded.push(url);
    return next(url, context);
  },
});

const directory = mkdtempSync(join(tmpdir(), "jacamar-lazy-"));
after(() => rmSync(directory, { recursive: true }));

function configurationFile(allowlist: string): string {
  const file = join(directory, "jacamar.toml");
  const text = `[general]\nexecutor = "shell"\ndata_dir = "/x"\n[general.podman]\nimage_allowlist = ${allowlist}`;
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

function isLoaded(part: string): boolean {
  return loaded.some((url) => url.includes(part));
}

test("unpackConfig() loads neither TOML nor a lazy module", async () => {
  await import("./state.ts");
  assert.ok(isLoaded("/valibot/"));
  for (const part of ["smol-toml", "re2js", "toml-eslint-parser", "fastest-levenshtein", "to-json-schema"]) {
    assert.equal(isLoaded(part), false, part);
  }
});

test("loadConfiguration() loads the regular expression engine only when the file has one, and nothing to place problems", async () => {
  const { loadConfiguration } = await import("./load.ts");
  await loadConfiguration(configurationFile("[]"));
  assert.ok(isLoaded("smol-toml"));
  assert.equal(isLoaded("re2js"), false);
  await loadConfiguration(configurationFile("['open']"));
  assert.ok(isLoaded("re2js"));
  for (const part of ["toml-eslint-parser", "fastest-levenshtein", "to-json-schema"]) {
    assert.equal(isLoaded(part), false, part);
  }
});
