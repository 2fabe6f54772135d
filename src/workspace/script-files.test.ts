import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../process/capture.ts";
import { readStatus, remove, statusFileOf, writeNew } from "./script-files.ts";

process.umask(0o077);
const directory = mkdtempSync(join(tmpdir(), "jacamar-scripts-"));
after(() => rmSync(directory, { recursive: true }));

let count = 0;
function fresh(): string {
  count += 1;
  return join(directory, `${count}.bash`);
}

async function makePipe(path: string): Promise<void> {
  await capture({ argv: ["/usr/bin/mkfifo", path], environment: {}, workingDirectory: "/" }, { timeoutSeconds: 5 });
}

describe("writeNew()", () => {
  test("writes every byte as it is, with the mode that is asked for", () => {
    const hard = Buffer.concat([
      Buffer.from("#!/bin/sh\r\n'\"$`\\ ü\n"),
      Buffer.from([0, 255, 254, 10, 13]),
      Buffer.alloc(2 ** 21, 7),
    ]);
    const path = fresh();
    writeNew(path, hard, 0o700);
    assert.ok(readFileSync(path).equals(hard));
    assert.equal(statSync(path).mode & 0o777, 0o700);
    writeNew(path, "ü\n", 0o600);
    assert.equal(readFileSync(path, "utf8"), "ü\n");
    assert.equal(statSync(path).mode & 0o777, 0o600);
    writeNew(path, "", 0o600);
    assert.equal(statSync(path).size, 0);
  });

  test("does not write through a link that was planted, symbolic or hard", async () => {
    const precious = join(directory, "precious");
    writeFileSync(precious, "precious");
    const path = fresh();
    for (const target of [precious, join(directory, "nothing"), "/dev/null", path]) {
      rmSync(path, { force: true });
      symlinkSync(target, path);
      writeNew(path, "script", 0o700);
      assert.ok(lstatSync(path).isFile());
    }
    rmSync(path);
    await capture(
      { argv: ["/usr/bin/ln", precious, path], environment: {}, workingDirectory: "/" },
      { timeoutSeconds: 5 },
    );
    writeNew(path, "script", 0o700);
    assert.equal(readFileSync(precious, "utf8"), "precious");
    assert.ok(!existsSync(join(directory, "nothing")));
  });

  test("does not wait for the reader of a pipe that was planted", { timeout: 60_000 }, async () => {
    const path = fresh();
    await makePipe(path);
    writeNew(path, "script", 0o700);
    assert.equal(readFileSync(path, "utf8"), "script");
  });

  test("takes away a directory that was planted, and follows no link in it", () => {
    const precious = join(directory, "tree");
    mkdirSync(precious);
    const path = fresh();
    mkdirSync(path);
    mkdirSync(join(path, "x"));
    symlinkSync(precious, join(path, "x/link"));
    writeNew(path, "script", 0o700);
    assert.equal(readFileSync(path, "utf8"), "script");
    assert.ok(existsSync(precious));
  });

  test("says which file cannot be made", () => {
    const failed = { name: "JacamarError", code: "directory_failed", message: /no\/such": ENOENT/ };
    assert.throws(() => writeNew(join(directory, "no/such"), "", 0o600), failed);
    const below = fresh();
    writeFileSync(below, "");
    assert.throws(() => writeNew(`${below}/x`, "", 0o600), { code: "directory_failed", message: /ENOTDIR/ });
  });
});

describe("remove()", () => {
  test("is content when there is nothing, and takes a link, not its target", () => {
    const path = fresh();
    remove(path);
    const target = fresh();
    writeFileSync(target, "");
    symlinkSync(target, path);
    remove(path);
    assert.ok(!existsSync(path) && existsSync(target));
  });

  test("takes a directory: the job can have put it there", () => {
    const path = fresh();
    mkdirSync(statusFileOf(path));
    writeFileSync(join(statusFileOf(path), "x"), "");
    remove(statusFileOf(path));
    assert.ok(!existsSync(statusFileOf(path)));
  });

  test("says what cannot be removed", () => {
    assert.throws(() => remove("/proc/self/status"), { name: "JacamarError", code: "directory_failed" });
  });
});

describe("readStatus()", () => {
  function statusOf(text: string): ReturnType<typeof readStatus> {
    const path = fresh();
    writeFileSync(statusFileOf(path), text);
    return readStatus(path);
  }

  test("reads 0 to 255", () => {
    for (let code = 0; code <= 255; code += 1) assert.equal(statusOf(`${code}\n`), code);
  });

  test("tells a file that the shell could not write to", () => assert.equal(statusOf(""), "unwritten"));

  for (const text of [
    "\n",
    "0",
    "256\n",
    "-1\n",
    "00\n",
    "01\n",
    " 0\n",
    "0 \n",
    "0\n\n",
    "0\r\n",
    "0x0\n",
    "1e1\n",
    "0\0\n",
    "zero\n",
    "٠\n",
    "999999999999\n",
  ]) {
    test(`takes ${JSON.stringify(text)} for none`, () => assert.equal(statusOf(text), undefined));
  }

  test("takes a missing file for none", () => assert.equal(readStatus(fresh()), undefined));

  test("does not read through a link", () => {
    const path = fresh();
    const target = fresh();
    writeFileSync(target, "0\n");
    symlinkSync(target, statusFileOf(path));
    assert.equal(readStatus(path), undefined);
  });

  test("does not wait for a pipe, and takes it and a directory for none", { timeout: 60_000 }, async () => {
    const path = fresh();
    await makePipe(statusFileOf(path));
    assert.equal(readStatus(path), undefined);
    const other = fresh();
    mkdirSync(statusFileOf(other));
    assert.equal(readStatus(other), undefined);
  });

  test("does not read a huge file, though it begins well", () => {
    const path = fresh();
    writeFileSync(statusFileOf(path), "0\n");
    truncateSync(statusFileOf(path), 2 ** 40);
    assert.equal(readStatus(path), undefined);
  });
});
