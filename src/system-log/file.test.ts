import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { asUser, checkout, startAsUser } from "../../test/harness/machine.ts";
import { appendLine } from "./file.ts";

const uid = process.getuid?.() ?? 0;
const stranger = 65534;
const notRoot = uid !== 0 && "only root can make files of another owner, and mount";
const { username, gid, homedir } = userInfo();
const ourselves = { name: username, uid, gid, home: homedir };

// The umask of the program (src/main.ts).
process.umask(0o077);
const root = realpathSync(mkdtempSync(join(tmpdir(), "jacamar-log-")));
after(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
function place(mode = 0o700): string {
  count += 1;
  const path = join(root, `${count}`);
  mkdirSync(path);
  chmodSync(path, mode);
  return path;
}

async function run(...argv: string[]): Promise<void> {
  const ended = await asUser(ourselves, argv);
  assert.equal(ended.exitCode, 0, ended.stderr);
}

const fails = (message: RegExp) => ({ name: "Error", message });
const lines = (path: string) => readFileSync(path, "utf8").split("\n").slice(0, -1);

describe("appendLine()", () => {
  test("makes the file, readable for its group, and appends", () => {
    const path = join(place(), "jacamar.log");
    appendLine(path, '{"a":1}');
    assert.equal(statSync(path).mode & 0o7777, 0o640);
    appendLine(path, '{"a":2}');
    assert.equal(readFileSync(path, "utf8"), '{"a":1}\n{"a":2}\n');
  });

  test("leaves the mode of a file that is there", () => {
    const path = join(place(), "jacamar.log");
    for (const mode of [0o600, 0o644]) {
      writeFileSync(path, "");
      chmodSync(path, mode);
      appendLine(path, "x");
      assert.equal(statSync(path).mode & 0o7777, mode);
    }
  });

  test("writes to the new file when the old one was moved away", () => {
    const path = join(place(), "jacamar.log");
    appendLine(path, "1");
    renameSync(path, `${path}.1`);
    appendLine(path, "2");
    assert.deepEqual([lines(`${path}.1`), lines(path)], [["1"], ["2"]]);
  });

  test("leaves no descriptor open", () => {
    const before = readdirSync("/proc/self/fd").length;
    const path = join(place(), "jacamar.log");
    for (let i = 0; i < 20; i += 1) {
      appendLine(path, "x");
      assert.throws(() => appendLine(`${path}/x`, "x"));
      assert.throws(() => appendLine(join(root, "missing/x"), "x"));
    }
    assert.equal(readdirSync("/proc/self/fd").length, before);
  });

  test("keeps the lines of 20 processes apart that write 200 each, and loses none", async () => {
    const path = join(place(), "jacamar.log");
    const writer = join(place(), "writer.ts");
    writeFileSync(
      writer,
      `import { appendLine } from ${JSON.stringify(checkout("src/system-log/file.ts"))};
      for (let i = 0; i < 200; i += 1) {
        appendLine(${JSON.stringify(path)}, JSON.stringify({ w: process.argv[2], i, fill: "x".repeat((i * 37) % 7000) }));
      }`,
    );
    await Promise.all(Array.from({ length: 20 }, (_, w) => run("bash", checkout("scripts/node"), writer, `${w}`)));
    const found = new Set<string>();
    for (const line of lines(path)) {
      // A writer may see another's line half-way and then begin with a line's end of its own.
      if (line === "") continue;
      const match = /^\{"w":"(\d+)","i":(\d+),"fill":"(x*)"\}$/.exec(line);
      assert.ok(match, line.slice(0, 200));
      assert.equal(match[3]?.length, (Number(match[2]) * 37) % 7000);
      found.add(`${match[1]} ${match[2]}`);
    }
    assert.equal(found.size, 4000);
  });

  test("lets several processes make the file at the same moment", async () => {
    const at = place();
    const writer = join(place(), "writer.ts");
    const start = Date.now() + 1500;
    writeFileSync(
      writer,
      `import { appendLine } from ${JSON.stringify(checkout("src/system-log/file.ts"))};
      for (let i = 0; i < 300; i += 1) {
        while (Date.now() < ${start} + 2 * i);
        appendLine(\`${at}/\${i}\`, "x");
      }`,
    );
    await Promise.all([1, 2, 3].map(() => run("bash", checkout("scripts/node"), writer)));
    for (let i = 0; i < 300; i += 1) assert.equal(readFileSync(join(at, `${i}`), "utf8"), "x\nx\nx\n");
  });

  test("follows no link in the place of the file", () => {
    const at = place();
    const victim = join(at, "victim");
    writeFileSync(victim, "victim\n");
    symlinkSync(victim, join(at, "jacamar.log"));
    assert.throws(() => appendLine(join(at, "jacamar.log"), "x"), fails(/jacamar\.log" is not a regular file$/));
    assert.equal(readFileSync(victim, "utf8"), "victim\n");
    symlinkSync(join(at, "new"), join(at, "dangling.log"));
    assert.throws(() => appendLine(join(at, "dangling.log"), "x"), fails(/is not a regular file$/));
    assert.ok(!existsSync(join(at, "new")));
  });

  test("refuses a file that has another name", () => {
    const at = place();
    writeFileSync(join(at, "victim"), "victim\n");
    linkSync(join(at, "victim"), join(at, "jacamar.log"));
    assert.throws(() => appendLine(join(at, "jacamar.log"), "x"), fails(/hard links/));
    assert.equal(readFileSync(join(at, "victim"), "utf8"), "victim\n");
  });

  test("refuses a directory in its place", () => {
    assert.throws(() => appendLine(place(), "x"), fails(/is not a regular file$/));
  });

  test("refuses a FIFO in its place, read or not, and does not wait", async () => {
    const path = join(place(), "jacamar.log");
    await run("mkfifo", path);
    assert.throws(() => appendLine(path, "x"), fails(/is not a regular file$/));
    const reader = startAsUser(ourselves, ["cat", path]);
    try {
      assert.throws(() => appendLine(path, "x"), fails(/is not a regular file$/));
      assert.equal(reader.stdout(), "");
    } finally {
      reader.kill("SIGKILL");
      await reader.done;
    }
  });

  test("refuses a device in its place", { skip: notRoot }, async () => {
    const path = join(place(), "jacamar.log");
    await run("mknod", path, "c", "1", "3");
    assert.throws(() => appendLine(path, "x"), fails(/is not a regular file$/));
  });

  test("says which directory is missing, and makes none", () => {
    const at = place();
    assert.throws(() => appendLine(join(at, "a/b/jacamar.log"), "x"), fails(/the directory ".*\/a" is missing$/));
    assert.deepEqual(readdirSync(at), []);
  });

  test("goes through no link, and says so", () => {
    const at = place();
    mkdirSync(join(at, "real"));
    symlinkSync(join(at, "real"), join(at, "link"));
    assert.throws(() => appendLine(join(at, "link/jacamar.log"), "x"), {
      message: /\/link" is not a directory$/,
      hint: /without them/,
    });
    assert.deepEqual(readdirSync(join(at, "real")), []);
  });

  for (const mode of [0o770, 0o702, 0o1777]) {
    test(`refuses a directory with mode 0${mode.toString(8)}`, () => {
      const at = place(mode);
      assert.throws(() => appendLine(join(at, "jacamar.log"), "x"), fails(/can be written by others$/));
      assert.deepEqual(readdirSync(at), []);
    });
  }

  test("refuses a way through a directory that others can write to, unless it is sticky", () => {
    const above = place(0o777);
    mkdirSync(join(above, "log"));
    assert.throws(() => appendLine(join(above, "log/jacamar.log"), "x"), fails(/can be written by others$/));
    chmodSync(above, 0o1777);
    appendLine(join(above, "log/jacamar.log"), "x");
  });

  test("refuses a file that others can write to", () => {
    const path = join(place(), "jacamar.log");
    writeFileSync(path, "");
    for (const mode of [0o660, 0o602]) {
      chmodSync(path, mode);
      assert.throws(() => appendLine(path, "x"), fails(/can be written by others$/));
    }
    assert.equal(readFileSync(path, "utf8"), "");
  });

  test("refuses somebody else's file, and somebody else's directory", { skip: notRoot }, () => {
    const at = place();
    const path = join(at, "jacamar.log");
    writeFileSync(path, "");
    chownSync(path, stranger, stranger);
    assert.throws(() => appendLine(path, "x"), fails(/belongs to the account number 65534$/));
    const theirs = place();
    chownSync(theirs, stranger, stranger);
    assert.throws(() => appendLine(join(theirs, "jacamar.log"), "x"), fails(/belongs to the account number 65534$/));
    mkdirSync(join(theirs, "log"));
    assert.throws(() => appendLine(join(theirs, "log/jacamar.log"), "x"), fails(/belongs to/));
  });

  test("says that the disk is full, and the next line is whole again", { skip: notRoot }, async () => {
    const disk = place();
    await run("mount", "-t", "tmpfs", "-o", "size=16k,mode=0700", "jacamar-test", disk);
    try {
      const path = join(disk, "jacamar.log");
      const line = JSON.stringify({ fill: "x".repeat(3000) });
      const full = fails(/jacamar\.log": the file system is full$/);
      const before = [...Array(5).keys()];
      for (const _ of before) appendLine(path, line);
      // 15,060 of 16,384 bytes are used: this one fits in part, the next one not at all.
      assert.throws(() => appendLine(path, line), full);
      assert.throws(() => appendLine(path, line), full);
      const size = statSync(path).size;
      await run("mount", "-o", "remount,size=64k", disk);
      appendLine(path, "next");
      const found = lines(path);
      assert.equal(found.at(-1), "next");
      assert.equal(found.length, size > 5 * (line.length + 1) ? 7 : 6);
      for (const whole of found.slice(0, 5)) assert.equal(whole, line);
    } finally {
      await run("umount", disk);
    }
  });

  test("says that it has no right to", { skip: uid === 0 && "root has every right" }, () => {
    const at = place(0o500);
    assert.throws(() => appendLine(join(at, "jacamar.log"), "x"), fails(/EACCES$/));
  });
});
