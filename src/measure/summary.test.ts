import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Facts, Measurements, type StepName } from "./measurements.ts";
import { duration, size, summaryOf } from "./summary.ts";

function measured(steps: Partial<Record<StepName, number>>, facts: Facts = {}): Measurements {
  const measure = new Measurements();
  for (const [name, seconds] of Object.entries(steps)) {
    if (name === "queue" || name === "container" || name === "script" || name === "login")
      measure.add(name, 0, seconds * 1000);
  }
  measure.note(facts);
  return measure;
}

describe("summaryOf()", () => {
  test("says in one line what is known", () => {
    const facts = { queueSeconds: 192, peakMemoryBytes: 1.3 * 2 ** 30, memoryLimitBytes: 2 * 2 ** 30 };
    assert.equal(
      summaryOf(measured({ container: 0.2, script: 41 }, facts)),
      "queued 3m12s, container 0.2s, script 41s, 1.3 GB peak memory (of 2 GB)",
    );
    assert.equal(summaryOf(measured({ login: 0.02, script: 0.5 })), "script 0.5s");
    assert.equal(summaryOf(measured({ login: 2.4, script: 0.5 })), "login 2.4s, script 0.5s");
    assert.equal(
      summaryOf(measured({ container: 0.3, script: 3 }, { peakMemoryBytes: 5 * 2 ** 20 })),
      "container 0.3s, script 3.0s, 5 MB peak memory",
    );
  });

  test("says nothing of a script that did not run", () => {
    assert.equal(summaryOf(measured({ container: 3 })), undefined);
  });
});

describe("duration()", () => {
  for (const [seconds, text] of [
    [0, "0.0s"],
    [9.94, "9.9s"],
    [9.96, "10s"],
    [59.4, "59s"],
    [59.6, "1m00s"],
    [192, "3m12s"],
    [3599.6, "1h00m"],
    [7380, "2h03m"],
    [360_000, "100h00m"],
  ] as const) {
    test(`makes ${text} of ${seconds}`, () => assert.equal(duration(seconds), text));
  }
});

describe("size()", () => {
  for (const [bytes, text] of [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1 kB"],
    [1023, "1 kB"],
    [1536, "1.5 kB"],
    [340 * 2 ** 20, "340 MB"],
    [2 ** 31, "2 GB"],
    [2 ** 80, "1073741824 PB"],
  ] as const) {
    test(`makes ${text} of ${bytes}`, () => assert.equal(size(bytes), text));
  }
});
