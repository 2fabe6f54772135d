import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openEnds } from "./anchors.ts";

const closed = { start: false, end: false };
const openStart = { start: true, end: false };
const openEnd = { start: false, end: true };
const open = { start: true, end: true };

const cases: readonly (readonly [string, { start: boolean; end: boolean }])[] = [
  ["^registry.example.com/group/.*$", closed],
  ["\\Areg\\z", closed],
  ["(?i)^reg$", closed],
  ["(?i:^reg$)", closed],
  ["^(a|b)$", closed],
  ["^a$|^b$", closed],
  ["(^a$|^b$)", closed],
  ["(?:^a|^b)c$", closed],
  ["^a(b$|c$)", closed],
  ["(?P<name>^a$)", closed],
  ["^[|()]$", closed],
  ["^[]|]$", closed],
  ["^[[:alpha:]|]$", closed],
  ["^a\\|b$", closed],
  ["^\\Q|\\E$", closed],
  ["^a\\\\$", closed],
  ["^$", closed],
  ["reg", open],
  ["", open],
  [".*", open],
  ["^reg", openEnd],
  ["reg$", openStart],
  ["^reg\\$", openEnd],
  ["\\^reg$", openStart],
  ["^a|b$", open],
  ["^a$|b", open],
  ["^(a|b$)", openEnd],
  ["(^a|b)$", openStart],
  ["(a)(b)", open],
  ["(", open],
  [")", open],
];

test("openEnds() tells which ends of a name an expression leaves open", () => {
  for (const [source, expected] of cases) assert.deepEqual(openEnds(source), expected, source);
});

test("openEnds() takes any text", () => {
  const tokens = fc.constantFrom("(", ")", "|", "[", "]", "^", "$", "\\", "\\Q", "\\E", "(?i)", "(?:", "a", ".*");
  fc.assert(
    fc.property(
      fc.array(tokens).map((all) => all.join("")),
      (source) => void openEnds(source),
    ),
  );
});
