import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { CarriageReturnFilter } from "./carriage-return.ts";

/** What a terminal makes of it: each line feed becomes carriage return and line feed (termios(3), ONLCR). */
function onlcr(bytes: Uint8Array): Buffer {
  return Buffer.from([...bytes].flatMap((byte) => (byte === 10 ? [13, 10] : [byte])));
}

function filtered(chunks: readonly Uint8Array[]): { out: Buffer; chunks: Buffer[] } {
  const out: Buffer[] = [];
  const filter = new CarriageReturnFilter((chunk) => out.push(Buffer.from(chunk)));
  for (const chunk of chunks) filter.write(chunk);
  filter.end();
  return { out: Buffer.concat(out), chunks: out };
}

function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [...places.map((place) => place % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  return sorted.map((end, index) => bytes.subarray(sorted[index - 1] ?? 0, end));
}

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.array(fc.constantFrom(10, 13, 65), { maxLength: 40 }).map((list) => Uint8Array.from(list)),
);

describe("CarriageReturnFilter", () => {
  test("is the exact inverse of the terminal, however the output is cut", () => {
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(), { maxLength: 30 }), (program, places) => {
        const { out, chunks } = filtered(cut(onlcr(program), places));
        assert.ok(out.equals(Buffer.from(program)));
        assert.ok(chunks.every((chunk) => chunk.length > 0));
      }),
      { numRuns: 3000 },
    );
  });

  test("takes only carriage returns before line feeds from output that no terminal has made", () => {
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(), { maxLength: 30 }), (raw, places) => {
        const expected = Buffer.from(Buffer.from(raw).toString("latin1").replaceAll("\r\n", "\n"), "latin1");
        assert.ok(filtered(cut(raw, places)).out.equals(expected));
      }),
      { numRuns: 3000 },
    );
  });

  test("keeps a progress bar's carriage returns, and passes on at once what is not in doubt", () => {
    const seen: string[] = [];
    const filter = new CarriageReturnFilter((chunk) => seen.push(Buffer.from(chunk).toString()));
    for (const chunk of ["10%\r", "20%\r", "\nend\r", "", "\r"]) filter.write(Buffer.from(chunk));
    assert.deepEqual(seen, ["10%", "\r20%", "\nend", "\r"]);
    filter.end();
    filter.end();
    assert.deepEqual(seen.join(""), "10%\r20%\nend\r\r");
  });

  test("does not change what it was given, and gives away nothing that it will change", () => {
    const chunk = Buffer.from("a\r\nb\r\n");
    const seen: Uint8Array[] = [];
    const filter = new CarriageReturnFilter((out) => seen.push(out));
    filter.write(chunk);
    filter.write(Buffer.from("c\r\n"));
    assert.equal(chunk.toString(), "a\r\nb\r\n");
    assert.equal(Buffer.from(seen[0] ?? []).toString(), "a\nb\n");
  });
});
