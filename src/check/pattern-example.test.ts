import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compilePattern, matchesAny } from "../config/patterns.ts";
import { exampleOf } from "./pattern-example.ts";

const cases: readonly (readonly [string, string])[] = [
  ["^registry.example.com/group/.*$", "registry.example.com/group/x"],
  ["^registry\\.example\\.com/group/[^/]+:v\\d+\\.\\d+$", "registry.example.com/group/x:v0.0"],
  ["^(docker\\.io|quay\\.io)/(library/)?debian(:.+)?$", "docker.io/library/debian:x"],
  ["(?i)^reg(?:istry)?[-a-z0-9]*/x{2}$", "registry-/xx"],
  ["^\\Qreg.example.com\\E/(?P<name>[[:alpha:]]+)$", "reg.example.com/x"],
  ["^reg/[]a]$", "reg/]"],
  ["a|b", "a"],
];

test("exampleOf() makes a name that the expression matches", () => {
  for (const [source, expected] of cases) {
    assert.equal(exampleOf(source)?.text, expected, source);
    assert.ok(matchesAny([compilePattern(source)], [expected]), source);
  }
});

test("exampleOf() tells where the expression leaves open what follows", () => {
  assert.deepEqual(exampleOf("^reg/.*-[^:]+:1$")?.open, [
    [4, 5],
    [6, 7],
  ]);
});

test("exampleOf() gives up on what it does not understand", () => {
  for (const source of ["\\p{Greek}", "(?=x)", "(", "a)", "*", "[", "\\", "x".repeat(1001), "(".repeat(50)]) {
    assert.equal(exampleOf(source), undefined, source);
  }
});

test("exampleOf() takes any text", () => {
  const tokens = fc.constantFrom(..."()|[]^$\\?*+{}.-,:/01az".split(""), "\\Q", "\\E", "(?i)", "(?P<n>", "[:alpha:]");
  fc.assert(
    fc.property(
      fc.array(tokens, { maxLength: 30 }).map((all) => all.join("")),
      (source) => void exampleOf(source),
    ),
    { numRuns: 2000 },
  );
});
