import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import fc from "fast-check";
import { payloadMarkers, PayloadStream, type Received } from "./payload-stream.ts";

const directory = mkdtempSync(join(tmpdir(), "payload-test-"));
after(() => rmSync(directory, { recursive: true }));
const markers = payloadMarkers("0123456789abcdef");

function receive(chunks: readonly Buffer[], limit = 1_000_000): { passed: string; received: Received; bytes: Buffer } {
  const file = join(directory, "payload");
  rmSync(file, { force: true });
  const passed: Buffer[] = [];
  const stream = new PayloadStream(markers, file, limit, (chunk) => passed.push(Buffer.from(chunk)));
  for (const chunk of chunks) stream.write(chunk);
  const received = stream.end();
  const bytes = typeof received === "object" && "bytes" in received ? readFileSync(file) : Buffer.alloc(0);
  return { passed: Buffer.concat(passed).toString(), received, bytes };
}

function output(payload: Buffer, lineBreak: string): string {
  const base64 = payload.toString("base64").replaceAll(/(.{76})/g, `$1${lineBreak}`);
  return `before${lineBreak}${markers.begin}${lineBreak}${base64}${lineBreak}${markers.end}${lineBreak}after, no line break`;
}

test("PayloadStream takes the payload out wherever chunks are cut, and also after a terminal", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.constantFrom("\n", "\r\n"),
      fc.array(fc.nat(1200), { maxLength: 8 }),
      (payload, lineBreak, cuts) => {
        const text = Buffer.from(output(Buffer.from(payload), lineBreak));
        const places = [0, ...cuts.map((cut) => cut % text.length).toSorted((a, b) => a - b), text.length];
        const chunks = places.slice(1).map((end, index) => text.subarray(places[index], end));
        const { passed, received, bytes } = receive(chunks);
        assert.deepEqual(received, { bytes: payload.length });
        assert.deepEqual(bytes, Buffer.from(payload));
        assert.equal(passed, `before${lineBreak}after, no line break`);
      },
    ),
    { numRuns: 200 },
  );
});

test("PayloadStream passes unfinished lines on at once when they cannot become a marker", () => {
  const passed: string[] = [];
  const stream = new PayloadStream(markers, join(directory, "x"), 10, (chunk) => passed.push(chunk.toString()));
  stream.write(Buffer.from("12 %"));
  stream.write(Buffer.from(" 13 %"));
  assert.deepEqual(passed, ["12 %", " 13 %"]);
  assert.equal(stream.end(), "none");
});

test("PayloadStream tells a payload that was cut off and one that is too large", () => {
  const whole = output(Buffer.alloc(1000), "\n");
  assert.equal(receive([Buffer.from(whole.slice(0, 500))]).received, "incomplete");
  assert.equal(receive([Buffer.from(whole)], 999).received, "too large");
  assert.deepEqual(receive([Buffer.from(whole)], 1000).received, { bytes: 1000 });
});

test("PayloadStream does not take another nonce for its own, nor a marker inside a line", () => {
  const other = payloadMarkers("ffff");
  const text = `${other.begin}\nQUJD\n${other.end}\nx ${markers.begin}\n`;
  const { passed, received } = receive([Buffer.from(text)]);
  assert.equal(received, "none");
  assert.equal(passed, text);
});

test("PayloadStream writes a file that only its owner can read", () => {
  receive([Buffer.from(output(Buffer.from("x"), "\n"))]);
  assert.equal(statSync(join(directory, "payload")).mode & 0o777, 0o600);
});

test("PayloadStream tells when it cannot store, and goes on passing the rest", () => {
  const passed: string[] = [];
  const file = join(directory, "gone", "payload");
  const stream = new PayloadStream(markers, file, 1000, (chunk) => passed.push(chunk.toString()));
  stream.write(Buffer.from(output(Buffer.from("x"), "\n")));
  const received = stream.end();
  assert.ok(typeof received === "object" && "problem" in received);
  assert.match(received.problem, /ENOENT/);
  assert.deepEqual(passed, ["before\n", "after, no line break"]);
});
