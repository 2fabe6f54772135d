import assert from "node:assert/strict";
import test from "node:test";
import { goDuration, parseGitlabDuration, parseGoDuration } from "./duration.ts";

test("parseGitlabDuration() reads what GitLab reads", () => {
  for (const [text, seconds] of [
    ["3600", 3600],
    ["1h 30m", 5400],
    ["3 hours 30 minutes", 12_600],
    ["1 hour and 5 sec", 3605],
    ["1.5h", 5400],
    ["2 weeks", 1_209_600],
    ["90 Minutes", 5400],
  ] as const) {
    assert.equal(parseGitlabDuration(text), seconds, text);
  }
  for (const text of ["", "soon", "5 parsecs", "h", "1h x"]) assert.equal(parseGitlabDuration(text), undefined, text);
});

test("parseGoDuration() and goDuration() are Go's", () => {
  assert.equal(parseGoDuration("1h30m"), 5400);
  assert.equal(parseGoDuration("300ms"), 0.3);
  assert.equal(parseGoDuration("0"), 0);
  assert.equal(parseGoDuration("5 min"), undefined);
  assert.equal(parseGoDuration("-5m"), undefined);
  assert.deepEqual([3600, 90, 5].map(goDuration), ["1h0m0s", "1m30s", "5s"]);
});
