import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { drain, makeFifos, takeFifo } from "./fifo.ts";
import { follow } from "./follow.ts";
import { takePipes } from "./pipes.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-follow-"));
after(() => rmSync(directory, { recursive: true }));

async function bash(line: string) {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  const start = performance.now();
  const followed = await follow(
    {
      argv: ["/bin/bash", "--norc", "-c", line],
      environment: { PATH: "/usr/bin:/bin" },
      workingDirectory: "/",
    },
    await takePipes(directory),
    { stdout: (chunk) => void out.push(Buffer.from(chunk)), stderr: (chunk) => void err.push(Buffer.from(chunk)) },
  );
  const ending = await followed.ended;
  const milliseconds = performance.now() - start;
  return {
    pid: followed.pid,
    ending,
    milliseconds,
    out: Buffer.concat(out),
    stdout: Buffer.concat(out).toString(),
    stderr: Buffer.concat(err).toString(),
  };
}

describe("follow()", () => {
  test("passes on both outputs and tells how the program ended", async () => {
    const ended = await bash("echo out; echo err >&2; exit 7");
    assert.deepEqual([ended.stdout, ended.stderr, ended.ending], ["out\n", "err\n", { exitCode: 7 }]);
    assert.deepEqual((await bash("kill -KILL $$")).ending, { signal: "SIGKILL" });
  });

  test("passes on output without a line break, and of a program that closes its own", async () => {
    assert.equal((await bash("printf no-newline")).stdout, "no-newline");
    const closed = await bash("echo before; exec 1>&- 2>&-; sleep 0.1; exit 5");
    assert.deepEqual([closed.stdout, closed.ending], ["before\n", { exitCode: 5 }]);
  });

  test("lets the program open /dev/stdout and /dev/stderr", async () => {
    const ended = await bash("echo one > /dev/stdout && echo two > /dev/stderr && echo three > /proc/self/fd/1");
    assert.deepEqual([ended.stdout, ended.stderr, ended.ending], ["one\nthree\n", "two\n", { exitCode: 0 }]);
  });

  test("runs it in a session of its own, with an empty input", async () => {
    const ended = await bash("cat; echo $$ $(ps -o sid=,pgid= -p $$)");
    assert.deepEqual(ended.stdout.trim().split(/\s+/), [`${ended.pid}`, `${ended.pid}`, `${ended.pid}`]);
  });

  test("passes on 50 MB whole and in order, up to the last byte before the end", async () => {
    const line = "seq 1 6500000; printf end";
    const expected = createHash("sha256");
    for (let from = 1; from <= 6_500_000; from += 100_000) {
      expected.update(Array.from({ length: 100_000 }, (_, index) => `${from + index}\n`).join(""));
    }
    const ended = await bash(line);
    assert.ok(ended.out.length > 50_000_000);
    assert.equal(ended.out.subarray(-3).toString(), "end");
    assert.equal(createHash("sha256").update(ended.out).digest("hex"), expected.update("end").digest("hex"));
  });

  test("passes on all that was in the pipe when the program ended", async () => {
    for (let round = 0; round < 20; round += 1) {
      assert.equal((await bash("head -c 60000 /dev/zero | tr '\\0' x; printf end")).stdout.length, 60_003);
    }
  });

  test("does not wait for a background process that holds the output", async () => {
    const ended = await bash("(trap '' HUP; sleep 300) & echo $!; exit 0");
    assert.ok(ended.milliseconds < 60_000, String(ended.milliseconds));
    assert.match(ended.stdout, /^[0-9]+\n$/);
    process.kill(-ended.pid, "SIGKILL");
  });

  test("ends though a background process writes on and on, and that process then ends too", async () => {
    const ended = await bash("(yes & echo $! >&2) ; sleep 0.05; exit 0");
    assert.ok(ended.milliseconds < 60_000, String(ended.milliseconds));
    const pid = Number(ended.stderr);
    for (let wait = 0; wait < 1200 && existsSync(`/proc/${pid}`); wait += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(!existsSync(`/proc/${pid}`), "SIGPIPE has not ended it");
  });

  test("rejects what cannot be started, and leaves no descriptor open", async () => {
    const start = async (program: string) => {
      const nothing = { stdout: () => undefined, stderr: () => undefined };
      const command = { argv: [program], environment: {}, workingDirectory: "/" } as const;
      await follow(command, await takePipes(directory), nothing);
    };
    await assert.rejects(start("/no/such"), { code: "ENOENT" });
    const open = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return readdirSync("/proc/self/fd").length;
    };
    const before = await open();
    for (let round = 0; round < 20; round += 1) await assert.rejects(start("/no/such"));
    for (let round = 0; round < 20; round += 1) await bash("sleep 0.2 & true");
    assert.equal(await open(), before);
  });

  test("gives a line on within 50 ms of its being written, as a rule", async () => {
    const late: number[] = [];
    const followed = await follow(
      {
        argv: ["/bin/bash", "--norc", "-c", "for i in {1..20}; do echo $EPOCHREALTIME; sleep 0.02; done"],
        environment: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
        workingDirectory: "/",
      },
      await takePipes(directory),
      {
        // On a machine that is busy two lines may come as one piece.
        stdout: (chunk) => {
          for (const line of Buffer.from(chunk).toString().trim().split("\n"))
            late.push(Date.now() - Number(line) * 1000);
        },
        stderr: () => undefined,
      },
    );
    await followed.ended;
    assert.equal(late.length, 20);
    assert.ok((late.toSorted((a, b) => a - b)[10] ?? 0) < 50, late.join(" "));
  });
});

describe("takePipes()", () => {
  test("makes new ones when they are used up, and leaves no name of one that is taken", async () => {
    const at = join(directory, "pipes");
    mkdirSync(at);
    const first = await takePipes(at);
    const left = readdirSync(at).length;
    for (let pair = 0; pair < left / 2; pair += 1) await takePipes(at);
    assert.deepEqual(readdirSync(at), []);
    const last = await takePipes(at);
    assert.equal(readdirSync(at).length, left);
    assert.notEqual(first.stdout.readEnd, last.stdout.readEnd);
  });

  test("says what hinders it", async () => {
    await assert.rejects(makeFifos(join(directory, "no/such"), 2), {
      code: "directory_failed",
      message: /Cannot make pipes in ".*no\/such": mkfifo: .*No such file/,
    });
    assert.equal(takeFifo(mkdtempSync(join(directory, "empty-"))), undefined);
  });
});

describe("drain()", () => {
  test("reads what is there, no more than its limit, and does not wait", async () => {
    const { stdout } = await takePipes(directory);
    assert.deepEqual([...drain(stdout.readEnd, 100)], []);
    const { writeSync } = await import("node:fs");
    writeSync(stdout.writeEnd, "x".repeat(1000));
    assert.equal(Buffer.concat([...drain(stdout.readEnd, 100)]).length, 100);
    assert.equal(Buffer.concat([...drain(stdout.readEnd, 10_000)]).length, 900);
  });
});
