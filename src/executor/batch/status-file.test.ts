import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { makeFifos } from "../../process/fifo.ts";
import { type JobStart, type JobStatus, readJobStart, readJobStatus } from "./status-file.ts";

describe("a file that the job can write itself", () => {
  let directory: string;
  let path: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "jacamar-status-"));
    path = join(directory, "status");
  });
  beforeEach(() => rmSync(path, { recursive: true, force: true }));
  after(() => rmSync(directory, { recursive: true }));

  const line = "script=7 client=7 bytes=12 signal=none began=1764087000 ended=1764087009\n";
  const statuses: [text: string, status: JobStatus][] = [
    [line, status({ script: 7, client: 7 })],
    [line.replace("script=7", "script=none"), status({ script: undefined, client: 7 })],
    [line.replace("signal=none", "signal=TERM"), status({ script: 7, client: 7, signal: "TERM" })],
    // The shell's variable is empty until a signal comes.
    [line.replace("signal=none", "signal="), status({ script: 7, client: 7 })],
    [line.replace("bytes=12", "bytes=99999999999999"), status({ script: 7, client: 7, bytes: 99_999_999_999_999 })],
  ];
  for (const [text, expected] of statuses) {
    test(`is read as a status: ${text.trim()}`, () => {
      writeFileSync(path, text);
      assert.deepEqual(readJobStatus(path), expected);
    });
  }

  const starts: [text: string, start: JobStart][] = [
    ["1764087000 n[1-4]\n", { beganSeconds: 1_764_087_000, nodes: "n[1-4]" }],
    ["1764087000 \n", { beganSeconds: 1_764_087_000, nodes: "" }],
    ["1764087000 n1 n2\n", { beganSeconds: 1_764_087_000, nodes: "n1 n2" }],
  ];
  for (const [text, expected] of starts) {
    test(`is read as a start: ${text.trim()}`, () => {
      writeFileSync(path, text);
      assert.deepEqual(readJobStart(path), expected);
    });
  }

  const garbage = [
    "",
    "\n",
    "0\n",
    line.trim(),
    line.slice(0, 30),
    `${line}${line}`,
    `${line}x`,
    ` ${line}`,
    line.replace("script=7", "script=-7"),
    line.replace("script=7", "script=256"),
    line.replace("client=7", "client=256"),
    line.replace("script=7", "script=7000"),
    line.replace("client=7", "client="),
    line.replace("client=7", "client=none"),
    line.replace("bytes=12", "bytes=1e3"),
    line.replace("bytes=12", `bytes=${"9".repeat(16)}`),
    line.replace("signal=none", "signal=$(id)"),
    line.replace("signal=none", "signal=term"),
    line.replace("began", "started"),
    line.replaceAll(" ", "\t"),
    "1764087000\n",
    "-1 n1\n",
    "now n1\n",
    "1764087000 n1",
    "1764087000 n1\nn2\n",
    `1764087000 ${"n".repeat(601)}\n`,
    "x".repeat(5000),
    "\0\u00ff\ufffd",
  ];
  for (const text of garbage) {
    test(`is no status and no start: ${JSON.stringify(text.slice(0, 100))}`, () => {
      writeFileSync(path, text);
      assert.equal(readJobStatus(path), undefined);
      assert.equal(readJobStart(path), undefined);
    });
  }

  test("is nothing that is not a file, and is not waited for", async () => {
    const both = () => [readJobStatus(path), readJobStart(path)];
    assert.deepEqual(both(), [undefined, undefined]);
    writeFileSync(`${path}.real`, line);
    symlinkSync(`${path}.real`, path);
    assert.deepEqual(both(), [undefined, undefined]);
    rmSync(path);
    mkdirSync(path);
    assert.deepEqual(both(), [undefined, undefined]);
    rmSync(path, { recursive: true });
    await makeFifos(directory, 1);
    renameSync(join(directory, "0"), path);
    assert.deepEqual(both(), [undefined, undefined]);
  });

  test("never makes the reader throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 2000 }), mangled(line), mangled("1764087000 n1\n")), (bytes) => {
        writeFileSync(path, bytes);
        const found = readJobStatus(path);
        if (found) assert.ok(found.script === undefined || (found.script >= 0 && found.script <= 255));
        readJobStart(path);
      }),
      { numRuns: 500 },
    );
  });
});

/** A text of which some characters were exchanged. */
function mangled(text: string): fc.Arbitrary<Buffer> {
  const change = fc.tuple(fc.nat(text.length - 1), fc.integer({ min: 0, max: 255 }));
  return fc.array(change, { maxLength: 4 }).map((changes) => {
    const bytes = Buffer.from(text);
    for (const [index, byte] of changes) bytes[index] = byte;
    return bytes;
  });
}

function status(given: Partial<JobStatus>): JobStatus {
  return {
    script: undefined,
    client: 0,
    bytes: 12,
    signal: undefined,
    beganSeconds: 1_764_087_000,
    endedSeconds: 1_764_087_009,
    ...given,
  };
}
