import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { readUidMin } from "./login-definitions.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-login-definitions-"));
after(() => rmSync(directory, { recursive: true }));
const missing = join(directory, "missing");

let count = 0;
function file(text: string): string {
  count += 1;
  const path = join(directory, `${count}`);
  writeFileSync(path, text);
  return path;
}

describe("readUidMin()", () => {
  test("reads this machine's", () => {
    assert.ok(readUidMin() >= 100);
  });

  test("takes the last line, in the ways that shadow reads a number", () => {
    assert.equal(readUidMin([file("# UID_MIN 1\nUID_MIN\t\t\t 1000\nUID_MAX 60000\n")]), 1000);
    assert.equal(readUidMin([file("UID_MIN 500\n  UID_MIN 2000 # ours\nSYS_UID_MIN 101\n")]), 2000);
    assert.equal(readUidMin([file('UID_MIN "1500"\n')]), 1500);
    assert.equal(readUidMin([file("UID_MIN 0x400\n")]), 1024);
    assert.equal(readUidMin([file("UID_MIN 01750\n")]), 1000);
  });

  test("goes on to the vendor's file, then to 1000", () => {
    assert.equal(readUidMin([missing, file("UID_MIN 2000\n")]), 2000);
    assert.equal(readUidMin([file("UID_MAX 5\n"), file("UID_MIN 2000\n")]), 2000);
    assert.equal(readUidMin([missing]), 1000);
  });

  test("is never below 100, and refuses what is no number", () => {
    assert.equal(readUidMin([file("UID_MIN 0\n")]), 100);
    for (const value of ["-1", "many", "1e3", "08", "99999999999", ""]) {
      const path = file(`UID_MIN ${value}\n`);
      assert.throws(() => readUidMin([path]), { code: "account_unknown" }, value);
    }
    assert.throws(() => readUidMin([directory]), { code: "account_unknown" });
  });
});
