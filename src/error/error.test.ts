import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { JacamarError, systemErrorCode } from "./error.ts";

/** As Node makes them of a number that it has no name for; which code it is depends on the call. */
function unnamed(errno: number, code = "UNKNOWN"): Error {
  return Object.assign(new Error(`Unknown system error ${errno}: write`), { code, errno, syscall: "write" });
}

test("systemErrorCode() tells the system's errors from all others", () => {
  const thrown = (work: () => unknown): unknown => {
    try {
      return work();
    } catch (error) {
      return error;
    }
  };
  assert.equal(systemErrorCode(thrown(() => readFileSync("/nonexistent"))), "ENOENT");
  assert.equal(systemErrorCode(new JacamarError("usage", "x")), "usage");
  for (const other of [new Error("x"), Object.assign(new Error("x"), { code: 3 }), "ENOENT", undefined]) {
    assert.equal(systemErrorCode(other), undefined);
  }
});

test("systemErrorCode() knows a used up quota, for which Node has no name", () => {
  assert.equal(systemErrorCode(unnamed(-122)), "EDQUOT");
  assert.equal(systemErrorCode(unnamed(-122, "Unknown system error -122")), "EDQUOT");
  assert.equal(systemErrorCode(unnamed(-99_999)), "UNKNOWN");
  assert.equal(systemErrorCode(Object.assign(new Error("x"), { code: "UNKNOWN" })), "UNKNOWN");
});
