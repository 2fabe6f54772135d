import assert from "node:assert/strict";
import { test } from "node:test";
import { JacamarError } from "../error/error.ts";
import { compilePattern, matchesAny } from "./patterns.ts";

const group = compilePattern("^registry\\.example\\.com/group/.*$");

test("matchesAny() finds a pattern in any candidate", () => {
  assert.equal(matchesAny([group], ["registry.example.com/group/image"]), true);
  assert.equal(matchesAny([compilePattern("^a$"), group], ["x", "registry.example.com/group/image:1"]), true);
  assert.equal(matchesAny([group], ["evil.example/registry.example.com/group/image"]), false);
  assert.equal(matchesAny([group], ["registry.example.com/groups/image"]), false);
});

test("matchesAny() finds a pattern without anchors anywhere", () => {
  assert.equal(matchesAny([compilePattern("group/")], ["evil.example/group/x"]), true);
});

test("matchesAny() takes $ for the end of the text, not of a line", () => {
  assert.equal(matchesAny([compilePattern("^a$")], ["a\nb", "a\n"]), false);
});

test("matchesAny() matches nothing without patterns or candidates", () => {
  assert.equal(matchesAny([], ["a"]), false);
  assert.equal(matchesAny([group], []), false);
});

test("compilePattern() refuses what is no pattern, needs backtracking or grows without bounds", () => {
  for (const source of ["(", "a**", "[z-a]", "(?<=a)b", "(?=a)b", "(a)\\1", "a{1001}", "((a{100}){100}){100}", "\\"]) {
    assert.throws(
      () => compilePattern(source),
      (error) => error instanceof JacamarError && error.code === "config_invalid" && !error.message.includes("parsing"),
      source,
    );
  }
});

test("matchesAny() takes linear time where backtracking would take for ever", () => {
  const started = performance.now();
  assert.equal(matchesAny([compilePattern("^(a+)+$")], [`${"a".repeat(20_000)}!`]), false);
  assert.ok(performance.now() - started < 60_000);
});
