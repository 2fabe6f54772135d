import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Evidence, judge, type Outcome } from "./outcome.ts";

describe("judge()", () => {
  const table: [what: string, evidence: Evidence, outcome: Outcome][] = [
    ["a script that passed", { status: 0, exitCode: 0, stopped: false }, { kind: "passed" }],
    [
      "a script that passed, though its client then failed",
      { status: 0, exitCode: 125, stopped: false },
      { kind: "passed" },
    ],
    ["a script that failed", { status: 3, exitCode: 3, stopped: false }, { kind: "failed", exitCode: 3 }],
    [
      "a script that failed where its shell says it did not",
      { status: 3, exitCode: 0, stopped: false },
      { kind: "failed", exitCode: 3 },
    ],
    ["a script's own 125", { status: 125, exitCode: 125, stopped: false }, { kind: "failed", exitCode: 125 }],
    ["a script's own 126", { status: 126, exitCode: 126, stopped: false }, { kind: "failed", exitCode: 126 }],
    ["a script's own 127", { status: 127, exitCode: 127, stopped: false }, { kind: "failed", exitCode: 127 }],
    ["a script's own 255", { status: 255, exitCode: 255, stopped: false }, { kind: "failed", exitCode: 255 }],
    ["Podman's 125", { status: undefined, exitCode: 125, stopped: false }, { kind: "lost", exitCode: 125 }],
    ["Podman's 126", { status: undefined, exitCode: 126, stopped: false }, { kind: "lost", exitCode: 126 }],
    ["Podman's 127", { status: undefined, exitCode: 127, stopped: false }, { kind: "lost", exitCode: 127 }],
    [
      "an entrypoint that ran nothing",
      { status: undefined, exitCode: 0, stopped: false },
      { kind: "lost", exitCode: 0 },
    ],
    ["an entrypoint that failed", { status: undefined, exitCode: 1, stopped: false }, { kind: "lost", exitCode: 1 }],
    ["an entrypoint's own 255", { status: undefined, exitCode: 255, stopped: false }, { kind: "lost", exitCode: 255 }],
    [
      "a status that a full disk did not take",
      { status: "unwritten", exitCode: 0, stopped: false },
      { kind: "unwritten" },
    ],
    ["a failure on a full disk", { status: "unwritten", exitCode: 3, stopped: false }, { kind: "failed", exitCode: 3 }],
    ["a stage that was ended on a full disk", { status: "unwritten", exitCode: 0, stopped: true }, { kind: "stopped" }],
    [
      "what was killed with its shell",
      { status: undefined, exitCode: 137, stopped: false },
      { kind: "failed", exitCode: 137, signal: 9 },
    ],
    ["128 alone", { status: undefined, exitCode: 128, stopped: false }, { kind: "lost", exitCode: 128 }],
    [
      "the last signal",
      { status: undefined, exitCode: 192, stopped: false },
      { kind: "failed", exitCode: 192, signal: 64 },
    ],
    ["a code above all signals", { status: undefined, exitCode: 193, stopped: false }, { kind: "lost", exitCode: 193 }],
    ["a stage that was ended", { status: undefined, exitCode: 137, stopped: true }, { kind: "stopped" }],
    ["a stage that was ended as it passed", { status: 0, exitCode: 0, stopped: true }, { kind: "stopped" }],
    ["a stage that was ended as it failed", { status: 1, exitCode: 1, stopped: true }, { kind: "stopped" }],
  ];
  for (const [what, evidence, outcome] of table) {
    test(`takes ${what} for ${outcome.kind}`, () => assert.deepEqual(judge(evidence), outcome));
  }
});
