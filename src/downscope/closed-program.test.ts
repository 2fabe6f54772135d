import assert from "node:assert/strict";
import { chmodSync, linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { requireClosedProgram, whyInsider } from "./closed-program.ts";

test("requireClosedProgram() refuses a file that others can run, also by another name", () => {
  const directory = mkdtempSync(join(tmpdir(), "jacamar-closed-"));
  try {
    const program = join(directory, "jacamar-auth");
    writeFileSync(program, "");
    chmodSync(program, 0o750);
    requireClosedProgram(program);
    chmodSync(program, 0o751);
    assert.throws(() => requireClosedProgram(program), { code: "downscope_failed", message: /everybody can run/ });
    chmodSync(program, 0o750);
    linkSync(program, join(directory, "jacamar"));
    assert.throws(() => requireClosedProgram(program), {
      code: "downscope_failed",
      message: /file of another program/,
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("whyInsider() tells of an account that is in the file's group", () => {
  const directory = mkdtempSync(join(tmpdir(), "jacamar-closed-"));
  try {
    const program = join(directory, "jacamar-auth");
    writeFileSync(program, "");
    const { gid } = statSync(program);
    assert.equal(whyInsider(program, "alice", [gid + 1, gid + 2]), undefined);
    assert.match(whyInsider(program, "alice", [gid + 1, gid]) ?? "", /"alice" is in the group/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
