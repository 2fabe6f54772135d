import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  begunLine,
  ExitCodeFilter,
  exitCodeLine,
  type Handover,
  packHandover,
  recordLine,
  unpackHandover,
} from "./handover.ts";

const nonce = "0123456789abcdef".repeat(2);
const handover: Handover = {
  stage: "run",
  scriptStage: "build_script",
  environment: { CUSTOM_ENV_A: "x\ny", CUSTOM_ENV_B: "\u{1F600}" },
  response: "{}",
  script: "ZXhpdAo=",
  nonce,
};

describe("unpackHandover()", () => {
  test("gives back what was packed, on one line", () => {
    const line = packHandover(handover);
    assert.equal(line.indexOf("\n"), line.length - 1);
    assert.deepEqual(unpackHandover(line), handover);
  });

  test("refuses anything else, without a word of it", () => {
    const others = [
      "",
      "secret",
      "[]",
      JSON.stringify({ ...handover, nonce: "secret" }),
      JSON.stringify({ ...handover, stage: "config" }),
      JSON.stringify({ ...handover, environment: { A: 1 } }),
      JSON.stringify({ ...handover, script: 1 }),
    ];
    for (const line of others) {
      assert.throws(
        () => unpackHandover(line),
        (error: Error) => error.message === "Standard input does not hold what jacamar-auth hands over",
      );
    }
  });
});

/** What comes through, when it comes in these chunks. */
function filtered(chunks: readonly Uint8Array[]): { output: Buffer; calls: number; filter: ExitCodeFilter } {
  const passed: Uint8Array[] = [];
  const filter = new ExitCodeFilter(nonce, (chunk) => void passed.push(Buffer.from(chunk)));
  for (const chunk of chunks) filter.write(chunk);
  filter.end();
  return { output: Buffer.concat(passed), calls: passed.length, filter };
}

/** Cuts bytes at some places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...ends].map((start, index) => bytes.subarray(start, ends[index]));
}

describe("ExitCodeFilter", () => {
  test("takes the lines out, and tells what they say", () => {
    const lines = `${begunLine(nonce)}a\n${exitCodeLine(nonce, 125)}b${recordLine(nonce, '{"a":1}')}`;
    const { output, filter } = filtered([Buffer.from(lines)]);
    assert.equal(output.toString(), "a\nb");
    assert.deepEqual([filter.begun, filter.exitCode, filter.record], [true, 125, '{"a":1}']);
  });

  test("changes no other output, wherever it breaks", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        begunLine(nonce),
        exitCodeLine(nonce, 7),
        "\x1e",
        "\n",
        `\x1e${nonce}`,
        `\x1e${nonce} `,
        "text\n",
      ),
      fc.constantFrom(`\x1e${"f".repeat(32)} 1\n`, `\x1e${nonce} no such word\n`, `\x1e${nonce.slice(0, 9)}\x1e`),
      fc.string({ unit: "binary", maxLength: 5 }),
    );
    const lines = new RegExp(`\\x1e${nonce} [^\\n]*\\n`, "g");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 8 }), (pieces, places) => {
        const bytes = Buffer.from(pieces.join(""));
        const whole = filtered([bytes]);
        const broken = filtered(cut(bytes, places));
        assert.deepEqual(broken.output, whole.output);
        assert.deepEqual([broken.filter.begun, broken.filter.exitCode], [whole.filter.begun, whole.filter.exitCode]);
        const expected = bytes.toString("latin1").replaceAll(lines, "");
        assert.equal(whole.output.toString("latin1"), expected);
      }),
      { numRuns: 1000 },
    );
  });

  test("believes no other nonce, and no code that no process has", () => {
    for (const line of [
      exitCodeLine("f".repeat(32), 3),
      `\x1e${nonce} 256\n`,
      `\x1e${nonce} 999\n`,
      `\x1e${nonce} 07\n`,
    ]) {
      assert.equal(filtered([Buffer.from(line)]).filter.exitCode, undefined, line);
    }
  });

  test("holds no more than a line of ours, whoever knows the nonce", () => {
    const passed: number[] = [];
    const filter = new ExitCodeFilter(nonce, (chunk) => void passed.push(chunk.length));
    filter.write(Buffer.from(`\x1e${nonce} record `));
    for (let round = 0; round < 100; round += 1) filter.write(Buffer.alloc(1000, "x"));
    assert.equal(
      passed.reduce((sum, length) => sum + length, 0),
      34 + 7 + 100_000,
    );
    assert.equal(filter.record, undefined);
  });

  test("passes a chunk on in one piece, also one of marks alone", () => {
    const { output, calls } = filtered([Buffer.alloc(64 * 1024, 0x1e)]);
    assert.deepEqual([output.length, calls], [64 * 1024, 2]);
  });
});
