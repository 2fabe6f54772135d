import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { makeWanted, setWanted } from "./wanted.ts";

describe("setWanted()", () => {
  const directory = mkdtempSync(join(tmpdir(), "jacamar-wanted-"));
  after(() => rmSync(directory, { recursive: true }));

  test("writes into the same file", () => {
    const path = join(directory, "same");
    makeWanted(path);
    const { ino } = lstatSync(path);
    assert.equal(readFileSync(path, "utf8"), "yes\n");
    setWanted(path, "perhaps");
    assert.equal(readFileSync(path, "utf8"), "perhaps\n");
    setWanted(path, "yes");
    assert.equal(readFileSync(path, "utf8"), "yes\n");
    assert.equal(lstatSync(path).ino, ino);
  });

  test("makes no file that cleanup has removed, and follows no link", () => {
    const path = join(directory, "gone");
    setWanted(path, "yes");
    assert.equal(existsSync(path), false);
    const target = join(directory, "target");
    writeFileSync(target, "kept");
    symlinkSync(target, path);
    setWanted(path, "yes");
    assert.equal(readFileSync(target, "utf8"), "kept");
  });
});
