import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { asUser, testUser } from "./machine.ts";
import { stageBundle } from "./stage.ts";

test("stageBundle() puts the bundle where the user can read and run it, but not change it", async () => {
  const user = testUser();
  const stage = stageBundle();
  try {
    const node = await asUser(user, [stage.node, "--version"]);
    assert.match(node.stdout, /^v26\./);
    const script = '[ -x "$1/jacamar" ] && [ -r "$1/jacamar" ] && { [ "$(id -u)" = "$2" ] || ! [ -w "$1/jacamar" ]; }';
    const seen = await asUser(user, ["bash", "-c", script, "-", stage.directory, `${process.getuid?.()}`]);
    assert.equal(seen.exitCode, 0);
  } finally {
    stage.remove();
  }
  assert.equal(existsSync(stage.directory), false);
});
