import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { JacamarError } from "../error/error.ts";
import { checkConfiguration } from "./load.ts";
import type { Config } from "./schema.ts";
import { packConfig, unpackConfig } from "./state.ts";

async function configOf(text: string): Promise<Config> {
  const { config } = await checkConfiguration(text, "test.toml");
  assert.ok(config !== undefined);
  return config;
}

const full = `
[general]
executor = "shell"
data_dir = "~/ci"
name = "caf\u00e9"
kill_timeout = "1m0.25s"
job_message = """two
lines"""
run_mechanism = "podman"
[general.podman]
runner_image = "runner:1"
runner_entry_point = []
user_entry_point = ["/bin/sh"]
image_pull_policy = "if-not-present"
image_allowlist = ['^a\\.b$']
archive_format = "oci-dir"
archive_cache_size = "1.5GiB"
tty = false
`;

test("unpackConfig() gives back what packConfig() took", async () => {
  for (const text of [full, '[general]\nexecutor = "shell"\ndata_dir = "/x"']) {
    const config = await configOf(text);
    const packed = packConfig(config);
    assert.doesNotMatch(packed, /\n/);
    assert.deepEqual(unpackConfig(packed), config);
  }
});

test("packConfig() keeps durations exactly", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(1_727_999_999), async (milliseconds) => {
      const config = await configOf(
        `[general]\nexecutor = "shell"\ndata_dir = "/x"\nkill_timeout = "${milliseconds}ms"`,
      );
      assert.equal(unpackConfig(packConfig(config)).general.kill_timeout, milliseconds / 1000);
    }),
    { numRuns: 50 },
  );
});

test("unpackConfig() refuses what packConfig() did not write", async () => {
  const packed = packConfig(await configOf(full));
  const forged = [
    "",
    "null",
    "[]",
    "{}",
    packed.slice(0, -1),
    packed.replace('"executor":"shell"', '"executor":"cobalt"'),
    packed.replace('"kill_timeout":"60.25s"', '"kill_timeout":60.25'),
    packed.replace('"general":{', '"general":{"unknown":1,'),
    packed.replace('"data_dir":"~/ci"', '"data_dir":"~/../ci"'),
  ];
  for (const text of forged) {
    assert.notEqual(text, packed);
    assert.throws(
      () => unpackConfig(text),
      (error) => error instanceof JacamarError && error.code === "state_missing" && error.hint !== undefined,
      text,
    );
  }
});
