import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "./capture.ts";
import { lockFile } from "./file-lock.ts";
import { pause } from "./signals.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-lock-"));
after(() => rmSync(directory, { recursive: true }));

async function hold(path: string) {
  const locking = await lockFile(path, "exclusive", "at-once");
  assert.ok(locking.kind === "held");
  return locking.lock;
}

describe("lockFile()", () => {
  test("locks a file for one, and lets the next one have it", async () => {
    const path = join(directory, "one");
    const lock = await hold(path);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(await lockFile(path, "exclusive", "at-once"), { kind: "busy" });
    lock.release();
    lock.release();
    (await hold(path)).release();
  });

  test("waits until it is free", async () => {
    const path = join(directory, "wait");
    const lock = await hold(path);
    let had = false;
    const waiting = lockFile(path, "exclusive", "wait").then((locking) => {
      had = true;
      return locking;
    });
    assert.deepEqual(await lockFile(path, "exclusive", "at-once"), { kind: "busy" });
    assert.equal(had, false);
    lock.release();
    const locking = await waiting;
    assert.ok(locking.kind === "held");
    locking.lock.release();
  });

  test("stops waiting when the stage is to end", async () => {
    const path = join(directory, "stop");
    const lock = await hold(path);
    const controller = new AbortController();
    const waiting = lockFile(path, "exclusive", "wait", controller.signal);
    controller.abort();
    assert.deepEqual(await waiting, { kind: "busy" });
    lock.release();
  });

  test("is free when the process that held it was killed, and whoever inherited it has ended", async () => {
    const path = join(directory, "killed");
    const program = `
      const { lockFile } = await import(${JSON.stringify(join(import.meta.dirname, "file-lock.ts"))});
      const { lock } = await lockFile(${JSON.stringify(path)}, "exclusive", "at-once");
      const { spawn } = await import("node:child_process");
      spawn("sleep", ["0.5"], { stdio: ["ignore", "ignore", "ignore", lock.descriptor], detached: true });
      console.log("held");
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.deepEqual(await lockFile(path, "exclusive", "at-once"), { kind: "busy" }, "the heir still has it");
    const locking = await lockFile(path, "exclusive", "wait");
    assert.ok(locking.kind === "held");
    locking.lock.release();
  });

  test("is for all who share it, or for one alone", async () => {
    const path = join(directory, "shared");
    const first = await lockFile(path, "shared", "at-once");
    const second = await lockFile(path, "shared", "at-once");
    assert.deepEqual(await lockFile(path, "exclusive", "at-once"), { kind: "busy" });
    for (const locking of [first, second]) {
      assert.ok(locking.kind === "held");
      locking.lock.release();
    }
    const alone = await hold(path);
    assert.deepEqual(await lockFile(path, "shared", "at-once"), { kind: "busy" });
    alone.release();
  });

  test("locks the file that is there, not one that was removed while it waited", async () => {
    const path = join(directory, "removed");
    const lock = await hold(path);
    const waiting = lockFile(path, "exclusive", "wait");
    await pause(100);
    rmSync(path);
    lock.release();
    const locking = await waiting;
    assert.ok(locking.kind === "held");
    assert.deepEqual(await lockFile(path, "exclusive", "at-once"), { kind: "busy" });
    locking.lock.release();
  });

  const strace = ["/usr/bin/strace", "/usr/local/bin/strace"].find((path) => existsSync(path));
  const skip = strace === undefined && "this machine has no strace to make flock fail";
  test("says so where nobody can lock files, as on Lustre without -o flock", { skip }, async () => {
    const program = `
      const { lockFile } = await import(${JSON.stringify(join(import.meta.dirname, "file-lock.ts"))});
      console.log((await lockFile(${JSON.stringify(join(directory, "nobody"))}, "exclusive", "wait")).kind);`;
    for (const error of ["ENOSYS", "ENOLCK", "EOPNOTSUPP"]) {
      const options = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", `inject=flock:error=${error}`];
      const argv = [strace ?? "", ...options, process.execPath, "--input-type=module", "--eval", program] as const;
      const { stdout } = await capture({ argv, environment: {}, workingDirectory: "/" }, { timeoutSeconds: 60 });
      assert.equal(stdout, "unsupported\n", error);
    }
  });

  test("follows no link, and is not held up by a pipe", async () => {
    writeFileSync(join(directory, "target"), "");
    symlinkSync(join(directory, "target"), join(directory, "link"));
    await assert.rejects(lockFile(join(directory, "link"), "exclusive", "at-once"), { code: "ELOOP" });
    mkdirSync(join(directory, "directory"));
    await assert.rejects(lockFile(join(directory, "directory"), "exclusive", "at-once"), { code: "EISDIR" });
    const fifo = join(directory, "fifo");
    await capture(
      { argv: ["mkfifo", fifo], environment: { PATH: "/usr/bin:/bin" }, workingDirectory: "/" },
      { timeoutSeconds: 10 },
    );
    const locking = await lockFile(fifo, "exclusive", "at-once");
    if (locking.kind === "held") locking.lock.release();
  });
});
