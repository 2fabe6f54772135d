import assert from "node:assert/strict";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { generations, rotate } from "./generations.ts";
import { withLock } from "./lock.ts";
import { stagesOfJob } from "./tail.ts";

const root = mkdtempSync(join(tmpdir(), "jacamar-record-"));
after(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
function newFile(text = ""): string {
  count += 1;
  const directory = join(root, String(count));
  mkdirSync(directory);
  const file = join(directory, "jobs.jsonl");
  writeFileSync(file, text);
  return file;
}

const noon = new Date("2026-11-24T12:00:00.000Z");

describe("rotate()", () => {
  test("leaves a file alone that is not too large, or not there", () => {
    const file = newFile("1234567");
    rotate(file, { maxBytes: 8, keep: 2 }, noon);
    rotate(`${file}.missing`, { maxBytes: 8, keep: 2 }, noon);
    assert.deepEqual(readdirSync(join(file, "..")), ["jobs.jsonl"]);
  });

  test("moves a file that is too large away, under a name of its own, and keeps as many as it should", () => {
    const file = newFile();
    for (let n = 0; n < 5; n += 1) {
      writeFileSync(file, `line ${n}\n`);
      rotate(file, { maxBytes: 5, keep: 3 }, noon);
    }
    assert.deepEqual(
      generations(file).map((name) => readFileSync(name, "utf8")),
      ["line 2\n", "line 3\n", "line 4\n"],
    );
    assert.match(generations(file)[0] ?? "", /\/jobs\.jsonl\.20261124T120000002Z$/);
  });

  test("loses no line of a process that has the file open", () => {
    const file = newFile("first\n");
    const descriptor = openSync(file, "a");
    rotate(file, { maxBytes: 5, keep: 3 }, noon);
    writeSync(descriptor, "second\n");
    closeSync(descriptor);
    assert.equal(readFileSync(generations(file)[0] ?? "", "utf8"), "first\nsecond\n");
  });

  test("is left to the process that is at it", () => {
    const file = newFile("too long");
    mkdirSync(`${file}.rotating`);
    rotate(file, { maxBytes: 5, keep: 3 }, noon);
    assert.deepEqual(generations(file), []);
    assert.equal(readFileSync(file, "utf8"), "too long");
  });

  test("goes on after a process that was killed at it", () => {
    const file = newFile("too long");
    mkdirSync(`${file}.rotating`);
    utimesSync(`${file}.rotating`, 1, 1);
    rotate(file, { maxBytes: 5, keep: 3 }, noon);
    rotate(file, { maxBytes: 5, keep: 3 }, noon);
    assert.equal(generations(file).length, 1);
  });

  test("touches no other file of the directory", () => {
    const file = newFile("too long");
    for (const name of ["jobs.jsonl.1", "jobs.jsonl.20261124", "jobs.jsonl.gz", "other.20261124T120000000Z"]) {
      writeFileSync(join(file, "..", name), "mine");
    }
    rotate(file, { maxBytes: 5, keep: 0 }, noon);
    assert.equal(readdirSync(join(file, "..")).length, 4);
  });
});

describe("withLock()", () => {
  test("does nothing while somebody else has the lock, and gives it back whatever happens", () => {
    const lock = join(root, "lock");
    assert.equal(
      withLock(lock, 0, () =>
        assert.equal(
          withLock(lock, 15, () => assert.fail("twice")),
          false,
        ),
      ),
      true,
    );
    assert.throws(
      () =>
        withLock(lock, 0, () => {
          throw new Error("work");
        }),
      /work/,
    );
    assert.equal(
      withLock(lock, 0, () => undefined),
      true,
    );
  });
});

function lineOf(key: string, minute: number, more: Readonly<Record<string, unknown>> = {}): string {
  const time = new Date(noon.getTime() + minute * 60_000).toISOString();
  const line = { schema: 1, kind: "stage", key, time, stage: "prepare", seconds: 1, outcome: "passed", steps: [] };
  return `${JSON.stringify({ ...line, ...more })}\n`;
}

describe("stagesOfJob()", () => {
  const mine = "7-aaaaaaaaaaaa";
  const other = "7-bbbbbbbbbbbb";

  test("finds the stages of a job over rotated files, in order, among many others", () => {
    const file = newFile();
    const noise = (from: number) => Array.from({ length: 3000 }, (_, n) => lineOf(other, from + n / 1000)).join("");
    writeFileSync(`${file}.20261124T110000000Z`, noise(-60));
    writeFileSync(`${file}.20261124T120000000Z`, `${noise(-5)}${lineOf(mine, 1, { stage: "config" })}${noise(1)}`);
    writeFileSync(file, `${noise(4)}${lineOf(mine, 9, { stage: "b" })}${lineOf(mine, 8, { stage: "a" })}${noise(9)}`);
    assert.deepEqual(
      stagesOfJob(file, mine, noon).map(({ stage }) => stage),
      ["config", "a", "b"],
    );
  });

  test("does not look further back than the job's beginning", () => {
    const file = newFile(lineOf(mine, 1));
    writeFileSync(`${file}.20261124T110000000Z`, `${lineOf(mine, -90)}${lineOf(other, -80)}`);
    writeFileSync(`${file}.20261124T120000000Z`, `${lineOf(other, -70)}${lineOf(other, -60)}`);
    assert.equal(stagesOfJob(file, mine, noon).length, 1);
  });

  test("takes a line for nobody else's that only quotes the key, nor a damaged one", () => {
    const quoting = lineOf(other, 1, { image: `"key":"${mine}"` });
    const file = newFile(`${quoting}{"schema":1,"kind":"stage","key":"${mine}"\n${lineOf(mine, 2)}`);
    assert.equal(stagesOfJob(file, mine, noon).length, 1);
  });

  test("finds a line behind what is left of another's, whose write has failed", () => {
    const file = newFile(lineOf(other, 1).slice(0, 70) + lineOf(mine, 2) + lineOf(mine, 3).slice(0, 50));
    assert.equal(stagesOfJob(file, mine, noon).length, 1);
  });

  test("follows no link, and finds nothing where there is no file", () => {
    const file = newFile(lineOf(mine, 1));
    const link = newFile();
    rmSync(link);
    symlinkSync(file, link);
    assert.deepEqual(stagesOfJob(link, mine, noon), []);
    assert.deepEqual(stagesOfJob(`${file}.missing`, mine, noon), []);
  });
});
