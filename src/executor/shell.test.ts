import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { isJobKey } from "../gitlab/job-key.ts";
import { bashScript } from "../mechanism/bash.ts";
import { PodmanClient } from "../podman/client.ts";
import { takePipes } from "../process/pipes.ts";
import { pause } from "../process/signals.ts";
import { statusFileOf, writeNew } from "../workspace/script-files.ts";
import { Measurements } from "../measure/measurements.ts";
import { runBash, runContainer } from "./shell.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-shell-"));
after(() => rmSync(directory, { recursive: true }));

const key = toKey("4242-0123456789ab");
const never = new AbortController().signal;
const environment = { PATH: "/usr/bin:/bin" };

function toKey(text: string) {
  assert.ok(isJobKey(text));
  return text;
}

let count = 0;
async function place() {
  count += 1;
  const at = join(directory, `${count}`);
  mkdirSync(at);
  mkdirSync(join(at, "pipes"));
  return { at, script: join(at, "x.bash"), pipes: await takePipes(join(at, "pipes")) };
}

function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

async function appears(path: string): Promise<string> {
  for (let wait = 0; wait < 6000; wait += 1) {
    if (existsSync(path) && readFileSync(path, "utf8").endsWith("\n")) return readFileSync(path, "utf8").trim();
    await pause(10);
  }
  throw new Error(`${path} did not appear`);
}

describe("runBash()", () => {
  async function run(text: string, options: { stop?: AbortSignal; shell?: string; killTimeoutSeconds?: number } = {}) {
    const { at, script, pipes } = await place();
    writeNew(script, text.replaceAll("AT", at), 0o700);
    const argv = bashScript(options.shell ?? "/bin/bash", "none", script);
    const marks = { uid: process.getuid?.() ?? 0, directories: [at], token: "" };
    const tools = {
      script,
      pipes,
      onStarted: () => undefined,
      measure: new Measurements(),
      stop: options.stop ?? never,
      killTimeoutSeconds: options.killTimeoutSeconds ?? 5,
    };
    return { at, outcome: runBash({ argv, environment, workingDirectory: at }, marks, tools) };
  }

  test("returns how the script ended", async () => {
    assert.deepEqual(await (await run("exit 0")).outcome, { kind: "passed" });
    for (const exitCode of [1, 125, 127, 137]) {
      assert.deepEqual(await (await run(`exit ${exitCode}`)).outcome, { kind: "failed", exitCode });
    }
    assert.deepEqual(await (await run("kill -KILL $BASHPID")).outcome, { kind: "failed", exitCode: 137 });
  });

  test("says which shell cannot be started", async () => {
    await assert.rejects((await run("", { shell: "/no/bash" })).outcome, {
      code: "shell_failed",
      message: /\/no\/bash": ENOENT/,
    });
  });

  test("ends what the script was running when its shell is killed", { timeout: 120_000 }, async () => {
    const { at, outcome } = await run("sleep 600 & echo $! > AT/pid; kill -KILL $$; wait");
    assert.deepEqual(await outcome, { kind: "failed", exitCode: 137, signal: 9 });
    assert.ok(!isAlive(Number(await appears(join(at, "pid")))));
  });

  test("ends all processes when the stage is to end, and says so", { timeout: 120_000 }, async () => {
    const controller = new AbortController();
    const text = "trap '' TERM; (trap '' TERM; echo $BASHPID > AT/pid; while :; do sleep 0.1; done) & wait; wait";
    const { at, outcome } = await run(text, { stop: controller.signal, killTimeoutSeconds: 0.3 });
    const pid = Number(await appears(join(at, "pid")));
    controller.abort();
    assert.deepEqual(await outcome, { kind: "stopped" });
    assert.ok(!isAlive(pid));
  });

  test("ends a stage that was to end before it began", { timeout: 120_000 }, async () => {
    const controller = new AbortController();
    controller.abort();
    const { outcome } = await run("sleep 600", { stop: controller.signal });
    assert.deepEqual(await outcome, { kind: "stopped" });
  });
});

/** A stand-in for Podman, for what a real one does not do on demand. `AT` in its parts is the directory of the test. */
async function standIn(parts: Readonly<Record<string, string>>) {
  const { at, script, pipes } = await place();
  const program = join(at, "podman");
  const cases = Object.entries(parts).map(([command, text]) => `${command}) ${text} ;;\n`);
  const text = `#!/bin/bash\necho "$*" >> AT/calls\ncase $1 in\n${cases.join("")}esac\n`;
  writeFileSync(program, text.replaceAll("AT", at), { mode: 0o700 });
  const podman = new PodmanClient(program, environment, at);
  const calls = () => readFileSync(join(at, "calls"), "utf8").trim().split("\n");
  const run = (stop: AbortSignal = never, more: { keepEnded?: boolean; killTimeoutSeconds?: number } = {}) =>
    runContainer(["run", "x"], {
      script,
      pipes,
      stop,
      onStarted: () => undefined,
      measure: new Measurements(),
      killTimeoutSeconds: more.killTimeoutSeconds ?? 1,
      podman,
      key,
      name: "NAME",
      tty: true,
      keepEnded: more.keepEnded ?? false,
    });
  return { at, script, run, calls };
}

const id = "a".repeat(64);

describe("runContainer()", () => {
  test("believes the script's own status before Podman's exit code", async () => {
    const passed = await standIn({ run: "echo 0 > AT/x.bash.status; exit 125" });
    assert.deepEqual(await passed.run(), { kind: "passed" });
    const failed = await standIn({ run: "echo 125 > AT/x.bash.status; exit 125" });
    assert.deepEqual(await failed.run(), { kind: "failed", exitCode: 125 });
    assert.deepEqual(failed.calls(), ["run x"]);
  });

  test("says in Podman's words why the script has not run", async () => {
    const { run } = await standIn({ run: "echo 'Trying…' >&2; echo 'Error: no such image' >&2; exit 125" });
    await assert.rejects(run(), {
      code: "podman_failed",
      message: "Podman failed before the script ran: no such image",
    });
  });

  test("does not take an entrypoint that runs nothing for a script that passed", async () => {
    const { run } = await standIn({ run: "exit 0" });
    assert.deepEqual(await run(), { kind: "lost", exitCode: 0 });
  });

  test("removes the container, and sees that it is gone, when its client is killed", async () => {
    const { at, run, calls } = await standIn({
      run: "touch AT/there; kill -KILL $$",
      ps: `[ -e AT/there ] && echo ${id}; exit 0`,
      rm: "rm -f AT/there",
    });
    assert.deepEqual(await run(), { kind: "failed", exitCode: 137, signal: 9 });
    assert.ok(!existsSync(join(at, "there")));
    assert.deepEqual(calls(), [
      "run x",
      `ps --all --quiet --no-trunc --filter label=jacamar-ci.job=${key}`,
      `rm --force --time 0 --volumes --ignore ${id}`,
      `ps --all --quiet --no-trunc --filter label=jacamar-ci.job=${key}`,
    ]);
  });

  test("says which container cannot be removed", { timeout: 120_000 }, async () => {
    const { run } = await standIn({ run: "exit 1", ps: `echo ${id}`, rm: "echo 'Error: busy' >&2; exit 1" });
    await assert.rejects(run(), {
      code: "container_left",
      message: /container aaaaaaaaaaaa: busy/,
      hint: new RegExp(id),
    });
  });

  test("asks what is in the container to end when the stage is to end", { timeout: 120_000 }, async () => {
    const { at, run, calls } = await standIn({
      run: "echo up > AT/up; while [ ! -e AT/told ]; do sleep 0.05; done; exit 143",
      exec: "touch AT/told",
    });
    const controller = new AbortController();
    const running = run(controller.signal, { killTimeoutSeconds: 10 });
    await appears(join(at, "up"));
    controller.abort();
    assert.deepEqual(await running, { kind: "stopped" });
    assert.ok(calls().includes("exec --user=0 NAME /bin/sh -c kill -TERM -1"));
    assert.ok(calls().at(-1)?.startsWith("ps "), "nobody has looked whether it is gone");
  });

  test("ends a container that does not heed it, after the grace, and its client", { timeout: 120_000 }, async () => {
    const { at, run } = await standIn({
      run: "trap '' TERM; touch AT/there; echo $$ > AT/up; while :; do sleep 0.1; done",
      exec: "exit 0",
      ps: `[ -e AT/there ] && echo ${id}; exit 0`,
      rm: "rm -f AT/there",
    });
    const controller = new AbortController();
    const running = run(controller.signal, { killTimeoutSeconds: 0.5 });
    const client = Number(await appears(join(at, "up")));
    controller.abort();
    assert.deepEqual(await running, { kind: "stopped" });
    assert.ok(!existsSync(join(at, "there")) && !isAlive(client));
  });

  test("tells a failure of Podman's own from one of the command, whatever its exit code", async () => {
    const own = await standIn({ run: "echo 'Error: creating /etc/mtab symlink: permission denied' >&2; exit 126" });
    await assert.rejects(own.run(), {
      code: "podman_failed",
      message: "Podman failed before the script ran: creating /etc/mtab symlink: permission denied",
    });
    for (const [said, exitCode] of [
      ['Error: runc: exec: "/nope": permission denied: OCI permission denied', 126],
      ['Error: crun: "/nope" not found: OCI runtime attempted to invoke a command that was not found', 127],
      ["entrypoint: Error: odd", 126],
    ] as const) {
      const { run } = await standIn({ run: `echo '${said}' >&2; exit ${exitCode}` });
      assert.deepEqual(await run(), { kind: "lost", exitCode });
    }
  });

  test("still ends the client, and says what is wrong, when Podman cannot be asked any more", {
    timeout: 120_000,
  }, async () => {
    const { at, run } = await standIn({
      run: "trap '' TERM; echo $$ > AT/up; while :; do sleep 0.1; done",
      exec: "exit 1",
      ps: "echo 'Error: database is locked' >&2; exit 125",
    });
    const controller = new AbortController();
    const running = run(controller.signal, { killTimeoutSeconds: 0.2 });
    const client = Number(await appears(join(at, "up")));
    controller.abort();
    // Before it is awaited, the promise must not end this process as one that nobody handles.
    await assert.rejects(running, {
      code: "podman_failed",
      message: /Cannot list the job's containers: database is locked/,
    });
    while (isAlive(client)) await pause(20);
  });

  test("keeps containers that have ended where the site wants that, and ends those that run", {
    timeout: 120_000,
  }, async () => {
    const { run, calls } = await standIn({
      run: "touch AT/there; exit 1",
      // Podman 4.3 refuses a state that it does not know.
      ps: `case "$*" in *status=configured*|*status=stopping*) exit 125 ;; *status=created*) ;; *status=running*) [ -e AT/there ] && echo ${id} ;; esac; exit 0`,
      stop: "rm -f AT/there",
    });
    await run(never, { keepEnded: true });
    const words = calls().map((call) => call.split(" ")[0]);
    assert.deepEqual(words, ["run", "ps", "stop", "ps"]);
    assert.ok(calls().includes(`stop --time 0 ${id}`));
  });

  test("says which Podman cannot be started", async () => {
    const { at, script, pipes } = await place();
    const podman = new PodmanClient("/no/podman", environment, at);
    const tools = {
      script,
      pipes,
      stop: never,
      onStarted: () => undefined,
      measure: new Measurements(),
      killTimeoutSeconds: 1,
      podman,
      key,
      name: "N",
      tty: false,
      keepEnded: false,
    };
    await assert.rejects(runContainer(["run"], tools), { code: "podman_missing", message: /"\/no\/podman": ENOENT/ });
    assert.ok(!existsSync(statusFileOf(script)));
  });
});
