import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import * as v from "valibot";
import { exactSize, sizeSchema } from "./size.ts";

describe("sizeSchema()", () => {
  const good: [string, number][] = [
    ["0B", 0],
    ["1B", 1],
    ["1.5KiB", 1536],
    ["0.3B", 0],
    ["20GiB", 20 * 1024 ** 3],
    ["2TiB", 2 * 1024 ** 4],
  ];
  for (const [text, bytes] of good) test(`reads ${text}`, () => assert.equal(v.parse(sizeSchema(), text), bytes));
  for (const text of ["", "20", "20GB", "20 GiB", "-1B", "1e9B", ".5GiB", "9000TiB", "20gib", 20]) {
    test(`refuses ${JSON.stringify(text)}`, () => assert.equal(v.safeParse(sizeSchema(), text).success, false));
  }

  test("reads every exact size as the same number", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.equal(v.parse(sizeSchema(), exactSize(bytes)), bytes)));
  });
});
