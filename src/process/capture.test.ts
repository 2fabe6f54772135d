import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { capture, type CaptureOptions, killGroup } from "./capture.ts";
import { shellExitCode } from "./command.ts";

const environment = { PATH: "/usr/bin:/bin", A: "b c" };

function bash(line: string, options: Partial<CaptureOptions> = {}) {
  const argv = ["/bin/bash", "--norc", "-c", line] as const;
  return capture({ argv, environment, workingDirectory: "/" }, { timeoutSeconds: 20, ...options });
}

async function timed<T>(work: Promise<T>): Promise<{ result: T; milliseconds: number }> {
  const start = performance.now();
  const result = await work;
  return { result, milliseconds: performance.now() - start };
}

const gone = (pid: number) => {
  try {
    return / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return true;
  }
};

describe("capture()", () => {
  test("gives both outputs and the exit code", async () => {
    assert.deepEqual(await bash("echo out; echo err >&2; exit 3"), {
      ending: { exitCode: 3 },
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  test("kills all that descends from a program, where it is asked to, though it is stopped and has sessions of its own", async () => {
    const line = "setsid bash -c 'echo $$; sleep 300 & echo $!; kill -STOP $PPID; wait' & wait";
    const { stdout, ending } = await bash(line, { timeoutSeconds: 2, killDescendants: true });
    assert.deepEqual(ending, { signal: "SIGKILL" });
    const pids = stdout.trim().split("\n").map(Number);
    assert.equal(pids.length, 2, stdout);
    for (const pid of pids) while (!gone(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  test("gives the signal that ended it", async () => {
    assert.deepEqual((await bash("kill -TERM $$")).ending, { signal: "SIGTERM" });
  });

  test("gives the program exactly the arguments and the environment that it is given, and an empty input", async () => {
    const argv = ["/usr/bin/printf", "%s|", "$(id)", "a b", "", "'\"\\\n", "-n"] as const;
    const said = await capture({ argv, environment: {}, workingDirectory: "/" }, { timeoutSeconds: 20 });
    assert.equal(said.stdout, "$(id)|a b||'\"\\\n|-n|");
    const env = await capture({ argv: ["/usr/bin/env"], environment, workingDirectory: "/" }, { timeoutSeconds: 20 });
    assert.equal(env.stdout, "PATH=/usr/bin:/bin\nA=b c\n");
    assert.equal((await bash("cat; pwd")).stdout, "/\n");
  });

  test("runs it in a session of its own", async () => {
    const [pid, session, group] = (await bash("echo $$ $(ps -o sid=,pgid= -p $$)")).stdout.trim().split(/\s+/);
    assert.deepEqual([session, group], [pid, pid]);
  });

  test("rejects what cannot be started", async () => {
    const start = (program: string, cwd = "/") =>
      capture({ argv: [program], environment, workingDirectory: cwd }, { timeoutSeconds: 20 });
    await assert.rejects(start("/no/such"), { code: "ENOENT" });
    await assert.rejects(start("/etc/passwd"), { code: "EACCES" });
    await assert.rejects(start("/bin/true", "/no/such"), { code: "ENOENT" });
    await assert.rejects(start("a\0b"));
  });

  test("keeps at most 16 MiB of each output, and lets the program end", async () => {
    const said = await bash("head -c 40000000 /dev/zero; echo end >&2");
    assert.deepEqual([said.ending, said.stderr], [{ exitCode: 0 }, "end\n"]);
    assert.ok(said.stdout.length >= 2 ** 24 && said.stdout.length <= 2 ** 24 + 2 ** 20, String(said.stdout.length));
  });

  test("kills it and its children after the time", async () => {
    const { result, milliseconds } = await timed(
      bash("trap '' TERM; sleep 300 & echo $!; wait; sleep 300", { timeoutSeconds: 2 }),
    );
    assert.deepEqual(result.ending, { signal: "SIGKILL" });
    assert.ok(milliseconds < 60_000, String(milliseconds));
    // It was killed with the shell, which need not mean before it.
    while (!gone(Number(result.stdout))) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  test("does not wait for one that cannot be killed", async (t) => {
    const kill = process.kill.bind(process);
    const held: number[] = [];
    t.mock.method(process, "kill", (pid: number) => {
      held.push(pid);
      throw Object.assign(new Error("not permitted"), { code: "EPERM" });
    });
    const { ending, stdout } = await bash("echo up; exec sleep 300", { timeoutSeconds: 2 });
    assert.deepEqual([ending, stdout], [{ signal: "SIGKILL" }, "up\n"]);
    for (const pid of held) kill(pid, "SIGKILL");
  });

  test("kills it when it is to stop, also when that was so before", async () => {
    const controller = new AbortController();
    const running = bash("sleep 30", { stop: controller.signal });
    setTimeout(() => controller.abort(), 100);
    assert.deepEqual((await running).ending, { signal: "SIGKILL" });
    const { result, milliseconds } = await timed(bash("sleep 300", { stop: controller.signal, timeoutSeconds: 300 }));
    assert.deepEqual(result.ending, { signal: "SIGKILL" });
    assert.ok(milliseconds < 60_000);
  });

  test("does not wait for what the program left behind with its output open", async () => {
    const { result, milliseconds } = await timed(bash("setsid sleep 300 & echo $!", { timeoutSeconds: 300 }));
    assert.deepEqual(result.ending, { exitCode: 0 });
    assert.ok(milliseconds < 60_000, String(milliseconds));
    process.kill(Number(result.stdout), "SIGKILL");
  });

  test("takes the answer on descriptor 3 alone, where that is asked for", async () => {
    const said = await bash("echo noise; echo answer >&3; echo err >&2", { answerOnDescriptor3: true });
    assert.deepEqual([said.stdout, said.stderr], ["answer\n", "err\n"]);
    assert.notEqual((await bash("echo x >&3")).ending, { exitCode: 0 });
  });

  test("leaves no descriptor open", async () => {
    const open = () => readdirSync("/proc/self/fd").length;
    await bash("true");
    const before = open();
    for (let round = 0; round < 10; round += 1) await bash("setsid sleep 0.1 & true");
    assert.equal(open(), before);
  });
});

test("a program that nobody waits for any more ends with the process that started it", async () => {
  const source = new URL("./capture.ts", import.meta.url).href;
  const program = `import { capture } from ${JSON.stringify(source)};
    const argv = ["/bin/sh", "-c", "echo $$ >&3; exec sleep 300 3>&-"];
    const command = { argv, environment: {}, workingDirectory: "/" };
    void capture(command, { timeoutSeconds: 300, passOnDescriptor3: 1 });
    setTimeout(() => process.exit(0), 1500);`;
  const argv = [process.execPath, "--input-type=module", "--eval", program] as const;
  const { stdout, ending } = await capture({ argv, environment, workingDirectory: "/" }, { timeoutSeconds: 20 });
  assert.deepEqual(ending, { exitCode: 0 });
  const pid = Number(stdout.trim());
  assert.ok(pid > 1, stdout);
  for (let look = 0; look < 3000 && !gone(pid); look += 1) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(gone(pid));
});

describe("killGroup()", () => {
  test("is content with a group that is gone, and with none", () => {
    killGroup(undefined, "SIGKILL");
    killGroup(2 ** 22 - 1, "SIGKILL");
  });
});

test("shellExitCode() is what a shell would show", () => {
  assert.equal(shellExitCode({ exitCode: 3 }, { SIGKILL: 9 }), 3);
  assert.equal(shellExitCode({ signal: "SIGKILL" }, { SIGKILL: 9 }), 137);
});
