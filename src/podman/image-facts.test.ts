import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { recallImage, rememberImage } from "./image-facts.ts";

const root = mkdtempSync(join(tmpdir(), "jacamar-facts-"));
after(() => rmSync(root, { recursive: true }));

const id = "a".repeat(64);
const other = "b".repeat(64);
let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(root, "d"));
});

describe("recallImage()", () => {
  test("knows what was remembered, of that image alone", () => {
    assert.equal(recallImage(directory, id), undefined);
    rememberImage(directory, id, { hasBash: false }, "1-x");
    assert.deepEqual(recallImage(directory, id), { hasBash: false });
    assert.equal(recallImage(directory, other), undefined);
    rememberImage(directory, id, { hasBash: true }, "1-x");
    assert.deepEqual(recallImage(directory, id), { hasBash: true });
    assert.deepEqual(readdirSync(directory), [`image-${id}.json`]);
    assert.equal(statSync(join(directory, `image-${id}.json`)).mode & 0o777, 0o600);
  });

  test("knows nothing from what cannot be ours", () => {
    const path = join(directory, `image-${id}.json`);
    for (const text of [
      "",
      "{",
      "null",
      "[]",
      '{"hasBash":1}',
      '{"hasBash":"true"}',
      `{"hasBash":true}${" ".repeat(5000)}`,
    ]) {
      writeFileSync(path, text);
      assert.equal(recallImage(directory, id), undefined, text);
    }
    rmSync(path);
    writeFileSync(join(root, "elsewhere"), '{"hasBash":true}');
    symlinkSync(join(root, "elsewhere"), path);
    assert.equal(recallImage(directory, id), undefined);
    rmSync(path);
    mkdirSync(path);
    assert.equal(recallImage(directory, id), undefined);
    assert.throws(() => recallImage(directory, "../x"));
  });
});

describe("rememberImage()", () => {
  test("forgets what nobody has asked for in three months, and nothing else", () => {
    const old = new Date(Date.now() - 91 * 24 * 3600 * 1000);
    const path = join(directory, `image-${other}.json`);
    rememberImage(directory, other, { hasBash: true }, "1-x");
    utimesSync(path, old, old);
    writeFileSync(join(directory, "mine"), "");
    utimesSync(join(directory, "mine"), old, old);
    assert.deepEqual(recallImage(directory, other), { hasBash: true }, "asking keeps it");
    rememberImage(directory, id, { hasBash: true }, "1-x");
    assert.ok(existsSync(path));
    utimesSync(path, old, old);
    rememberImage(directory, id, { hasBash: true }, "1-x");
    assert.deepEqual(readdirSync(directory).toSorted(), [`image-${id}.json`, "mine"]);
  });

  test("ends no job where it cannot write", () => {
    rememberImage(join(directory, "missing"), id, { hasBash: true }, "1-x");
    assert.deepEqual(readdirSync(directory), []);
  });
});
