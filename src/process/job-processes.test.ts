import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { endJobProcesses, findJobProcesses, type JobMarks } from "./job-processes.ts";
import { pause } from "./signals.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-processes-"));
after(() => rmSync(directory, { recursive: true }));

const uid = process.getuid?.() ?? 0;
let count = 0;
const started: number[] = [];

afterEach(() => {
  for (const pid of started.splice(0)) {
    for (const target of [pid, -pid]) {
      try {
        process.kill(target, "SIGKILL");
      } catch {
        // Ended, as it should.
      }
    }
  }
});

/** Marks of a job that no other test has. */
function job(): JobMarks & { directory: string } {
  count += 1;
  const at = join(directory, `${count}`);
  return {
    uid,
    directory: at,
    directories: [at, `${at}.private`],
    token: `token-${process.pid}-${count}`,
    sessions: [],
  };
}

function start(
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
  detached = true,
): ChildProcess {
  const [program, ...args] = argv;
  const child = spawn(program, args, {
    env: { PATH: "/usr/bin:/bin", ...env },
    detached,
    stdio: ["ignore", "pipe", "ignore"],
  });
  if (child.pid !== undefined) started.push(child.pid);
  return child;
}

/** Starts Bash, which prints the number of what it has started. */
async function startWithin(
  line: string,
  env: Readonly<Record<string, string>>,
  name: string,
): Promise<{ shell: number; inner: number }> {
  const child = start(["/bin/bash", "--norc", "-c", line, name], env);
  const inner = Number(
    await new Promise<string>((resolve) => child.stdout?.once("data", (chunk) => resolve(String(chunk)))),
  );
  started.push(inner);
  return { shell: child.pid ?? 0, inner };
}

function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** Waits for it, however busy the machine is. */
async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 60_000; !holds(); await pause(20)) {
    assert.ok(performance.now() < deadline, what);
  }
}

const finds = (marks: JobMarks, pids: readonly number[]) => () => {
  const found = findJobProcesses(marks);
  return found.length === pids.length && pids.every((pid) => found.includes(pid));
};

const sorted = (pids: readonly number[]) => pids.toSorted((a, b) => a - b);

describe("findJobProcesses()", () => {
  test("finds nothing where there is nothing", () => assert.deepEqual(findJobProcesses(job()), []));

  test("finds what has a directory of the job on its command line, and all of its session", async () => {
    const marks = job();
    const { shell, inner } = await startWithin("sleep 60 & echo $!; wait", {}, `${marks.directory}/x.bash`);
    assert.deepEqual(sorted(findJobProcesses(marks)), sorted([shell, inner]));
    const other = await startWithin("sleep 60 & echo $!; wait", {}, `${marks.directory}.private/login`);
    assert.deepEqual(sorted(findJobProcesses(marks)), sorted([shell, inner, other.shell, other.inner]));
  });

  test("does not take the directory of another job for its own", async () => {
    const marks = job();
    await startWithin("sleep 60 & echo $!; wait", {}, `${marks.directory}1/x.bash`);
    await startWithin("sleep 60 & echo $!; wait", {}, marks.directory);
    assert.deepEqual(findJobProcesses(marks), []);
  });

  test("finds what has the job's token alone, in a session of its own", async () => {
    const marks = job();
    const line = "setsid bash -c 'echo $$; exec sleep 60' & wait";
    const { inner } = await startWithin(line, { CI_JOB_TOKEN: marks.token }, "x");
    await until("it is found", () => findJobProcesses(marks).includes(inner));
    const others: [string, string][] = [
      ["CI_JOB_TOKEN", `${marks.token}x`],
      ["XCI_JOB_TOKEN", marks.token],
      ["CUSTOM_ENV_CI_JOB_TOKEN", marks.token],
    ];
    for (const [name, value] of others) {
      const other = start(["/usr/bin/sleep", "60"], { [name]: value });
      assert.ok(!findJobProcesses(marks).includes(other.pid ?? 0), name);
    }
  });

  test("takes no token for a mark where the job has none", async () => {
    start(["/usr/bin/sleep", "60"], { CI_JOB_TOKEN: "" });
    assert.deepEqual(findJobProcesses({ ...job(), token: "" }), []);
  });

  test("finds what has forked twice and lost its parent", async () => {
    const marks = job();
    const line = "(setsid bash -c 'sleep 60 & echo $!' &)";
    const { inner } = await startWithin(line, { CI_JOB_TOKEN: marks.token }, "x");
    await until("it alone is found", finds(marks, [inner]));
  });

  test("finds the rest of a session whose leader is gone", async () => {
    const marks = job();
    // The subshell has the shell's command line, and what it runs has no mark of its own.
    const { shell, inner } = await startWithin(
      "(env -i sleep 60 & echo $!; wait; true)& wait",
      {},
      `${marks.directory}/x.bash`,
    );
    process.kill(shell, "SIGKILL");
    const found = () => findJobProcesses(marks);
    await until("the shell is gone", () => !isAlive(shell));
    await until("the others are found", () => found().includes(inner) && found().length === 2);
  });

  test("spares the session of a user who looks at the job's files in a terminal", async () => {
    const marks = job();
    mkdirSync(marks.directory);
    writeFileSync(`${marks.directory}/log`, "");
    const line = `tail -f "${marks.directory}/log" & echo $!; sleep 60 & wait`;
    const { shell, inner } = await startWithin(`eval "$LINE"`, { LINE: line }, "user's shell");
    await until("the program is found", () => findJobProcesses(marks).includes(inner));
    const found = findJobProcesses(marks);
    assert.ok(!found.includes(shell), "the user's shell would be ended");
    assert.deepEqual(found, [inner]);
  });

  test("takes sessions that it is told of", async () => {
    const { shell, inner } = await startWithin("sleep 60 & echo $!; wait", {}, "x");
    assert.deepEqual(sorted(findJobProcesses({ ...job(), sessions: [shell] })), sorted([shell, inner]));
  });

  test("leaves the processes of other users alone", {
    skip: uid !== 0 && "only root can start a process of another user",
  }, async () => {
    const marks = job();
    const other = start(["/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "sleep", "60"], {
      CI_JOB_TOKEN: marks.token,
    });
    await until("it is the other user's", finds({ ...marks, uid: 65534 }, [other.pid ?? 0]));
    assert.deepEqual(findJobProcesses(marks), []);
  });

  test("spares this process and its ancestors, and the rest of its session", async () => {
    const marks = job();
    const sibling = start(["/usr/bin/sleep", "60"], {}, false);
    const marked = start(["/usr/bin/sleep", "61"], { CI_JOB_TOKEN: marks.token }, false);
    const found = findJobProcesses(marks);
    assert.deepEqual(found, [marked.pid]);
    assert.ok(!found.includes(sibling.pid ?? 0) && !found.includes(process.pid) && !found.includes(process.ppid));
  });

  test("counts no process that only waits to be reaped", async () => {
    const marks = job();
    const { shell, inner } = await startWithin("sleep 60 & echo $!; exec sleep 60", {}, `${marks.directory}/x.bash`);
    // A shell would reap it.
    await until("the shell has become sleep", () => readFileSync(`/proc/${shell}/comm`, "utf8") === "sleep\n");
    process.kill(inner, "SIGKILL");
    await until("it has ended", () => readFileSync(`/proc/${inner}/stat`, "latin1").includes(") Z "));
    assert.deepEqual(findJobProcesses({ ...marks, sessions: [shell] }), [shell]);
  });

  test("reads a process whose name has spaces and parentheses", async () => {
    const marks = job();
    const { inner } = await startWithin(
      "exec -a x bash -c 'printf %s \"a) Z 1 1\" > /proc/self/comm; echo $$; exec 3<>/dev/null; while :; do read -t 1; done' y",
      { CI_JOB_TOKEN: marks.token },
      "x",
    );
    assert.deepEqual(findJobProcesses(marks), [inner]);
  });
});

describe("endJobProcesses()", () => {
  test("asks first, and is done when nothing is left", async () => {
    const marks = job();
    const trapped = join(directory, "trapped");
    const line = `trap 'echo yes > ${trapped}; exit' TERM; sleep 60 & echo $!; wait`;
    const { shell, inner } = await startWithin(line, {}, `${marks.directory}/x.bash`);
    const start = performance.now();
    assert.deepEqual(await endJobProcesses(marks, 60), { found: 2, left: [] });
    assert.ok(performance.now() - start < 60_000, "it waited for the end of the grace");
    assert.equal(readFileSync(trapped, "utf8"), "yes\n");
    assert.ok(!isAlive(shell) && !isAlive(inner));
  });

  test("kills what ignores SIGTERM, in any session, after the grace and not before", async () => {
    const marks = job();
    const env = { CI_JOB_TOKEN: marks.token };
    const first = await startWithin("trap '' TERM; sleep 60 & echo $!; wait", env, "x");
    const second = await startWithin("trap '' TERM; setsid sleep 61 & echo $!; wait", env, "x");
    const start = performance.now();
    const { found, left } = await endJobProcesses(marks, 0.5);
    const seconds = (performance.now() - start) / 1000;
    assert.ok(found >= 4, String(found));
    assert.deepEqual(left, []);
    assert.ok(seconds >= 0.5, String(seconds));
    for (const pid of [first.shell, first.inner, second.shell, second.inner]) assert.ok(!isAlive(pid));
  });

  test("asks also what is born between the look and the signal", async (t) => {
    const marks = job();
    const [go, born, trapped] = ["go", "born", "trapped"].map((name) => join(directory, `${name}.${count}`));
    const child = `: >${born}; exec sleep 300`;
    const line = `trap ': >${trapped}; exit' TERM; echo $$; until [ -e ${go} ]; do :; done; bash -c '${child}'; sleep 300`;
    const { shell } = await startWithin(line, {}, `${marks.directory}/x.bash`);
    const kill = process.kill.bind(process);
    t.mock.method(process, "kill", (target: number, signal: NodeJS.Signals) => {
      writeFileSync(go ?? "", "");
      while (!existsSync(born ?? "") && isAlive(shell));
      return kill(target, signal);
    });
    const { left } = await endJobProcesses(marks, 5);
    // With SIGTERM to it alone the shell would wait for its child, until it is killed.
    assert.deepEqual([left, existsSync(trapped ?? ""), isAlive(shell)], [[], true, false]);
  });

  test("ends a process of the job in a process group of others, and that alone", async () => {
    const marks = job();
    const sibling = start(["/usr/bin/sleep", "60"], {}, false);
    const marked = start(["/usr/bin/sleep", "61"], { CI_JOB_TOKEN: marks.token }, false);
    assert.deepEqual(await endJobProcesses(marks, 60), { found: 1, left: [] });
    assert.deepEqual([isAlive(marked.pid ?? 0), isAlive(sibling.pid ?? 0)], [false, true]);
  });

  test("spares the process that Podman keeps for all of a user's jobs, whatever group it is in", async () => {
    const marks = job();
    const fifo = join(directory, "fifo");
    const line = `mkfifo ${fifo}; bash -c 'exec -a catatonit bash -P -c "read <>${fifo}"' & echo $!; wait`;
    const { shell, inner } = await startWithin(line, { CI_JOB_TOKEN: marks.token }, "x");
    await until("it is Podman's", () => readFileSync(`/proc/${inner}/cmdline`, "utf8").startsWith("catatonit"));
    assert.equal((await endJobProcesses(marks, 60)).found, 1);
    assert.deepEqual([isAlive(shell), isAlive(inner)], [false, true]);
  });

  test("ends what has no mark also when all that has one ends first", async () => {
    const marks = job();
    const line = "env -i bash --norc -c 'trap \"\" TERM; echo $$; while :; do sleep 60; done' & wait";
    const { shell, inner } = await startWithin(line, { CI_JOB_TOKEN: marks.token }, "x");
    const { found, left } = await endJobProcesses(marks, 0.5);
    assert.ok(found >= 2, String(found));
    assert.deepEqual([left, isAlive(shell), isAlive(inner)], [[], false, false]);
  });

  test("keeps up with a process that starts new ones as fast as it can", async () => {
    const marks = job();
    const line = "trap '' TERM; echo $$; f() { while :; do sleep 30 & sleep 0.01; done; }; f";
    await startWithin(line, { CI_JOB_TOKEN: marks.token }, "x");
    await pause(200);
    assert.deepEqual((await endJobProcesses(marks, 0.2)).left, []);
    await pause(100);
    assert.deepEqual(findJobProcesses(marks), []);
  });

  test("ends nothing of another job", async () => {
    const marks = job();
    const other = start(["/usr/bin/sleep", "60"], { CI_JOB_TOKEN: "another" });
    assert.deepEqual(await endJobProcesses(marks, 1), { found: 0, left: [] });
    assert.ok(isAlive(other.pid ?? 0));
  });
});
