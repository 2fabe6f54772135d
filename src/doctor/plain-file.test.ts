import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { capture } from "../process/capture.ts";
import { longestBytes, readPlainFile } from "./plain-file.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-plain-"));
after(() => rmSync(directory, { recursive: true }));
const at = (name: string): string => join(directory, name);

test("readPlainFile() reads a file, and waits for no pipe and reads no device", async () => {
  writeFileSync(at("file"), "text");
  symlinkSync("file", at("link"));
  await capture(
    { argv: ["/usr/bin/mkfifo", at("pipe")], environment: {}, workingDirectory: "/" },
    { timeoutSeconds: 10 },
  );
  writeFileSync(at("long"), "");
  truncateSync(at("long"), longestBytes + 1);
  assert.equal(readPlainFile(at("file")), "text");
  assert.equal(readPlainFile(at("link")), "text");
  assert.match(readPlainFile("/proc/self/status") ?? "", /^Name:/);
  for (const path of [at("pipe"), "/dev/zero", directory, at("nothing"), at("long")]) {
    assert.equal(readPlainFile(path), undefined, path);
  }
});
