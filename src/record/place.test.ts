import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { placeOf } from "./place.ts";

const alice = { home: "/home/alice", base: "/scratch/ci/alice" };

describe("placeOf()", () => {
  for (const [location, expected] of [
    ["syslog", { kind: "syslog" }],
    ["journald", { kind: "journald" }],
    ["/var/log/jacamar/jobs.jsonl", { kind: "file", path: "/var/log/jacamar/jobs.jsonl", own: false }],
    ["$HOME/.jacamar/jobs.jsonl", { kind: "file", path: "/home/alice/.jacamar/jobs.jsonl", own: true }],
    ["~/jobs.jsonl", { kind: "file", path: "/home/alice/jobs.jsonl", own: true }],
    ["$DATA_DIR/jobs.jsonl", { kind: "file", path: "/scratch/ci/alice/jobs.jsonl", own: true }],
  ] as const) {
    test(`knows ${location}`, () => assert.deepEqual(placeOf({ location }, alice), expected));
  }

  test("has no place for a user's own file where the user is not known", () => {
    assert.equal(placeOf({ location: "$HOME/x" }, { home: undefined, base: undefined }), undefined);
    assert.equal(placeOf({ location: "$DATA_DIR/x" }, { home: "/home/alice", base: undefined }), undefined);
  });
});
