import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { asUser, checkout, type Ended, type User } from "./machine.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-reporter-"));
after(() => rmSync(directory, { recursive: true }));

// The reporter runs as we do: the files are ours.
const ourselves: User = { name: "", uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, home: directory };

/** Runs test files, given as name and text, with the reporter. */
async function run(files: Readonly<Record<string, string>>): Promise<Ended & { last: string }> {
  const paths = Object.entries(files).map(([name, text]) => {
    const path = join(directory, name);
    writeFileSync(path, `import { before, describe, test } from "node:test";\n${text}`);
    return path;
  });
  const reporter = `--test-reporter=${checkout("test/harness/reporter.ts")}`;
  // Without NODE_TEST_CONTEXT: this is no part of the run that we are in.
  const ending = `--import=${checkout("test/harness/end-of-file.ts")}`;
  const ended = await asUser(ourselves, [process.execPath, "--test", ending, reporter, ...paths], {
    env: { JACAMAR_TEST_GRACE_MILLISECONDS: "1000" },
  });
  return { ...ended, last: ended.stdout.trimEnd().split("\n").at(-1) ?? "" };
}

test("reporter counts tests, not suites, and ends with the counts", async () => {
  const text = 'describe("s", () => { test("a", () => {}); test("b", () => {}); });\ntest("c", () => {});';
  const ended = await run({ "pass.test.mjs": text });
  assert.equal(ended.exitCode, 0, ended.stdout);
  assert.equal(ended.last, "3 passed, 0 failed");
  assert.match(ended.stdout, /^✔ pass\.test\.mjs: 3 passed \(\d+\.\d s\)$/m);
});

test("reporter prints a failing test whole, with what its file printed", async () => {
  const text = 'describe("outer", () => test("inner", () => { console.log("seen"); throw new Error("broken"); }));';
  const ended = await run({ "fail.test.mjs": text, "pass.test.mjs": 'test("c", () => {});' });
  assert.equal(ended.exitCode, 1);
  assert.equal(ended.last, "1 passed, 1 failed");
  assert.match(
    ended.stdout,
    / {2}✖ outer › inner\n {4}fail\.test\.mjs:2\n {4}Error: broken\n {8}at .*fail\.test\.mjs:2:/,
  );
  assert.match(ended.stdout, /What the file printed:\n {4}seen$/m);
});

test("reporter names skipped tests with their reasons", async () => {
  const text = 'test("a", () => {}); test("b", { skip: "no registry" }, () => {});';
  const ended = await run({ "skip.test.mjs": text });
  assert.equal(ended.exitCode, 0);
  assert.equal(ended.last, "1 passed, 0 failed, 1 skipped");
  assert.match(ended.stdout, /skipped: b: no registry/);
});

test("reporter takes a failing hook, a file that breaks and a file without a test for failures", async () => {
  const ended = await run({
    "hook.test.mjs": 'describe("s", () => { before(() => { throw new Error("no set-up"); }); test("a", () => {}); });',
    "broken.test.mjs": 'throw new Error("at once");',
    "empty.test.mjs": "",
  });
  assert.equal(ended.exitCode, 1);
  assert.equal(ended.last, "0 passed, 4 failed"); // the hook's suite and the test that could not run count both
  for (const text of [/no set-up/, /at once/, /It has no test\./]) assert.match(ended.stdout, text);
});

test("reporter fails a run without any test", async () => {
  const ended = await run({ "skip.test.mjs": 'test("b", { skip: "x" }, () => {});' });
  assert.equal(ended.exitCode, 1);
  assert.equal(ended.last, "0 passed, 1 failed, 1 skipped");
  assert.match(ended.stdout, /^No test ran\.$/m);
});

test("a file that does not end after its last test fails, and says what it still has", async () => {
  const ended = await run({
    "hanging.test.mjs": 'test("a", () => {}); setInterval(() => {}, 1000);',
    "pass.test.mjs": 'test("c", () => {});',
  });
  assert.equal(ended.exitCode, 1);
  assert.match(ended.stdout, /✖ hanging\.test\.mjs: 1 passed, 1 failed/);
  assert.match(ended.stdout, /tests are done, but it still has: .*Timeout/);
  assert.equal(ended.last, "2 passed, 1 failed");
});
