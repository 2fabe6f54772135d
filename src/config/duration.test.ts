import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatDuration, parseDuration } from "./duration.ts";

test("parseDuration() reads Go's notation", () => {
  const seconds: Record<string, number> = {
    "120s": 120,
    "2m": 120,
    "1h30m": 5400,
    "1.5h": 5400,
    ".5s": 0.5,
    "1.s": 1,
    "250ms": 0.25,
    "10us": 0.00001,
    "10\u00b5s": 0.00001,
    "10\u03bcs": 0.00001,
    "1ns": 1e-9,
    "1m1m": 120,
    "0s": 0,
    "480h": 1_728_000,
  };
  for (const [text, expected] of Object.entries(seconds)) assert.equal(parseDuration(text), expected, text);
});

test("parseDuration() refuses what is no duration, negative or too long for a timer", () => {
  const refused = [
    "",
    "120",
    "s",
    "1",
    "-1s",
    "+1s",
    "1 s",
    " 1s",
    "1s ",
    "1d",
    "1S",
    "1h30",
    "1..5s",
    ".s",
    "1e3s",
    "1s\n",
  ];
  for (const text of [...refused, "481h", "480h1ns", "9".repeat(400) + "h", "\u0661s"]) {
    assert.equal(parseDuration(text), undefined, JSON.stringify(text));
  }
});

test("parseDuration() adds up its parts exactly to the nanosecond", () => {
  const parts = fc.record({
    h: fc.nat(400),
    m: fc.nat(4000),
    s: fc.nat(40_000),
    ms: fc.nat(999),
    ns: fc.nat(999_999),
  });
  fc.assert(
    fc.property(parts, ({ h, m, s, ms, ns }) => {
      const nanoseconds = (h * 3600 + m * 60 + s) * 1e9 + ms * 1e6 + ns;
      const expected = nanoseconds <= 1_728_000e9 ? nanoseconds / 1e9 : undefined;
      assert.equal(parseDuration(`${h}h${m}m${s}s${ms}ms${ns}ns`), expected);
    }),
  );
});

test("formatDuration() writes what parseDuration() reads as the same number", () => {
  fc.assert(
    fc.property(fc.nat(1_728_000 - 1), fc.nat(999_999_999), (seconds, nanoseconds) => {
      const duration = parseDuration(`${seconds}s${nanoseconds}ns`);
      assert.ok(duration !== undefined);
      assert.equal(parseDuration(formatDuration(duration)), duration);
    }),
  );
  assert.equal(formatDuration(120), "120s");
  assert.equal(formatDuration(0), "0s");
  assert.equal(formatDuration(1e-9), "0.000000001s");
});
