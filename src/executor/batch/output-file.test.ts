import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { makeFifos } from "../../process/fifo.ts";
import { OutputFile, type OutputTrouble } from "./output-file.ts";

describe("OutputFile", () => {
  let directory: string;
  let path: string;
  let chunks: Buffer[];
  let troubles: OutputTrouble[];
  let file: OutputFile;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "jacamar-output-"));
    path = join(directory, "out");
    chunks = [];
    troubles = [];
    file = new OutputFile(
      path,
      (chunk) => chunks.push(Buffer.from(chunk)),
      (trouble) => troubles.push(trouble),
    );
  });
  afterEach(() => {
    file.end();
    rmSync(directory, { recursive: true });
  });

  const passed = () => Buffer.concat(chunks).toString();

  test("passes on what is new, once, in order", () => {
    assert.equal(file.read(), 0);
    writeFileSync(path, "one\n");
    assert.equal(file.read(), 4);
    assert.equal(file.read(), 0);
    appendFileSync(path, "two\n");
    assert.equal(file.read(), 4);
    assert.equal(passed(), "one\ntwo\n");
    assert.equal(file.bytes, 8);
    assert.deepEqual(troubles, []);
  });

  test("finds a file that appears late", () => {
    for (let look = 0; look < 3; look += 1) assert.equal(file.read(), 0);
    writeFileSync(path, "late\n");
    file.read();
    assert.equal(passed(), "late\n");
    assert.deepEqual(troubles, []);
  });

  test("holds half a character back until its other half is there", () => {
    const bytes = Buffer.from("aé€😀z");
    for (const [index, byte] of bytes.entries()) {
      appendFileSync(path, Buffer.from([byte]));
      assert.equal(file.read(), 1);
      assert.equal(file.bytes, index + 1);
      assert.doesNotMatch(passed(), /\ufffd/, `after ${index + 1} bytes`);
    }
    assert.deepEqual(chunks.map(String), ["a", "é", "€", "😀", "z"]);
  });

  test("passes half a character on at the end", () => {
    writeFileSync(path, Buffer.from([0x61, 0xe2, 0x82]));
    file.read();
    assert.equal(passed(), "a");
    file.end();
    assert.deepEqual(Buffer.concat(chunks), Buffer.from([0x61, 0xe2, 0x82]));
    file.end();
    assert.equal(chunks.length, 2);
  });

  test("keeps every byte of what is no text, in order, however it comes", () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 12 });
    fc.assert(
      fc.property(pieces, (written) => {
        rmSync(path, { force: true });
        const got: Uint8Array[] = [];
        const follower = new OutputFile(path, (chunk) => got.push(Buffer.from(chunk)), assert.fail);
        for (const piece of written) {
          appendFileSync(path, piece);
          follower.read();
          assert.ok(follower.bytes - Buffer.concat(got).length <= 3);
        }
        follower.end();
        assert.deepEqual(Buffer.concat(got), Buffer.concat(written));
      }),
      { numRuns: 300 },
    );
  });

  test("reads a large file in several looks, each of bounded length", () => {
    const size = 9 * 1024 * 1024 + 5;
    writeFileSync(path, Buffer.alloc(size, "x"));
    let looks = 0;
    do {
      assert.ok(file.read() <= 4 * 1024 * 1024);
      looks += 1;
    } while (file.behind);
    assert.equal(looks, 3);
    assert.equal(file.bytes, size);
    assert.equal(Buffer.concat(chunks).length, size);
  });

  test("says once that it was emptied, and reads what comes then", () => {
    writeFileSync(path, "first\n");
    file.read();
    for (const text of ["a\n", "b\n"]) {
      truncateSync(path);
      file.read();
      appendFileSync(path, text);
      file.read();
    }
    assert.equal(passed(), "first\na\nb\n");
    assert.deepEqual(troubles, ["truncated"]);
  });

  test("says once that it was replaced, and reads the new one", () => {
    writeFileSync(path, "first\n");
    file.read();
    for (const text of ["second\n", "third and longer\n"]) {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
      file.read();
    }
    assert.equal(passed(), "first\nsecond\nthird and longer\n");
    assert.deepEqual(troubles, ["replaced"]);
  });

  test("says once that it was deleted, and finds one that takes its place", () => {
    writeFileSync(path, "first\n");
    file.read();
    unlinkSync(path);
    file.read();
    file.read();
    assert.deepEqual(troubles, ["deleted"]);
    writeFileSync(path, "second\n");
    file.read();
    assert.equal(passed(), "first\nsecond\n");
  });

  test("reads to its end what its writer still writes into a deleted file", () => {
    const other = `${path}.hidden`;
    writeFileSync(path, "first\n");
    file.read();
    renameSync(path, other);
    appendFileSync(other, "and more\n");
    file.read();
    assert.equal(passed(), "first\nand more\n");
  });

  test("follows no link, and takes no directory and no pipe for the file", async () => {
    writeFileSync(`${path}.secret`, "secret\n");
    symlinkSync(`${path}.secret`, path);
    assert.equal(file.read(), 0);
    unlinkSync(path);
    mkdirSync(path);
    assert.equal(file.read(), 0);
    rmSync(path, { recursive: true });
    await makeFifos(directory, 1);
    renameSync(join(directory, "0"), path);
    assert.equal(file.read(), 0);
    unlinkSync(path);
    assert.equal(passed(), "");
    writeFileSync(path, "real\n");
    file.read();
    assert.equal(passed(), "real\n");
  });
});
