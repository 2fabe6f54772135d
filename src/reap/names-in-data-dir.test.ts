import assert from "node:assert/strict";
import { chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { closed, namesInDataDir } from "./names-in-data-dir.ts";

const skip = process.getuid?.() === 0 ? false : "giving directories away takes root";

test("namesInDataDir() asks for each owner once, whatever one of them has made there", { skip }, async () => {
  const place = mkdtempSync(join(tmpdir(), "jacamar-names-"));
  try {
    for (const [name, uid] of [["alice", 70_001] as const, ["bob", 70_002] as const, ["carol", 70_002] as const]) {
      mkdirSync(join(place, name));
      chownSync(join(place, name), uid, uid);
    }
    for (let number = 0; number < 2000; number += 1) {
      mkdirSync(join(place, `x${number}`));
      chownSync(join(place, `x${number}`), 70_002, 70_002);
    }
    writeFileSync(join(place, "file"), "");
    symlinkSync("/", join(place, "link"));
    const asked: number[] = [];
    const names = await namesInDataDir(place, (uid) => {
      asked.push(uid);
      return Promise.resolve({ 70_001: "alice", 70_002: "bob" }[uid]);
    });
    assert.deepEqual(new Set(asked), new Set([70_001, 70_002]));
    assert.equal(asked.length, 2);
    assert.ok(names.includes("alice") && names.includes("bob"));
    assert.ok(names.length < 30, `${names.length} names`);
    assert.ok(!names.includes("file") && !names.includes("link"));
  } finally {
    rmSync(place, { recursive: true });
  }
});

test("namesInDataDir() is not stopped by a directory that root may not look at", async () => {
  const place = mkdtempSync(join(tmpdir(), "jacamar-names-"));
  try {
    for (const name of ["alice", "bob"]) mkdirSync(join(place, name));
    const look = (path: string) => (path.endsWith("/alice") ? closed : 70_002);
    assert.deepEqual(await namesInDataDir(place, () => Promise.resolve("bob"), look), ["alice", "bob"]);
  } finally {
    rmSync(place, { recursive: true });
  }
});
