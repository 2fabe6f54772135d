import assert from "node:assert/strict";
import test from "node:test";
import { readConfigOutput } from "./config-output.ts";

test("readConfigOutput() takes null and missing for nothing, and ignores what it does not know", () => {
  const nothing = readConfigOutput("");
  assert.ok(!("problem" in nothing));
  assert.equal(nothing.buildsDir, "");
  assert.equal(nothing.buildsDirIsShared, false);
  const output = readConfigOutput(
    '{"builds_dir":"/b","cache_dir":null,"job_env":{"A":"1"},"driver":{"name":"d"},"x":1}\n',
  );
  assert.ok(!("problem" in output));
  assert.equal(output.buildsDir, "/b");
  assert.equal(output.cacheDir, "");
  assert.deepEqual(output.jobEnv, { A: "1" });
  assert.equal(output.driverName, "d");
});

test("readConfigOutput() says what is wrong", () => {
  for (const [text, problem] of [
    ["Welcome!\n{}", /while parsing JSON/],
    ['{"job_env":{"A":1}}', /job_env\.A: .*Expected string/],
    ['{"builds_dir":7}', /builds_dir: /],
    ["[]", /while parsing JSON/],
  ] as const) {
    const output = readConfigOutput(text);
    assert.ok("problem" in output, text);
    assert.match(output.problem, problem);
  }
});
