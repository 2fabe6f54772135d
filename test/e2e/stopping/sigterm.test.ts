import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { after, before, describe, it } from "node:test";
import { Jobs, logOf } from "./jobs.ts";
import { processesWith, tracesAfter } from "./traces.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("stopping");
});
after(() => jobs.close());

interface Case {
  readonly name: string;
  readonly script: string;
  /** Printed by the script after the signal. */
  readonly says?: string;
  /** How long it lasts at least. */
  readonly leastSeconds?: number;
  /** Longer than a script that says something needs, on a busy machine as well. */
  readonly killTimeout?: string;
}

const ready = 'echo "now ready"';
const cases: readonly Case[] = [
  { name: "only sleeps", script: `${ready}; sleep 300` },
  {
    name: "has a trap that takes a while",
    script: `trap 'sleep 0.7; echo the trap "ran"; echo yes > trap-ran; exit 0' TERM; ${ready}; while :; do sleep 0.1; done`,
    says: "the trap ran\n",
    leastSeconds: 0.7,
    killTimeout: "60s",
  },
  { name: "ignores the signal", script: `trap '' TERM; ${ready}; while :; do sleep 1; done`, leastSeconds: 1.9 },
  {
    name: "has children, some of which ignore the signal",
    script: `sleep 300 & (trap '' TERM; sleep 301) & (trap '' TERM; while :; do sleep 1; done) & ${ready}; wait`,
  },
  { name: "has a child in a session of its own", script: `setsid sleep 302 & ${ready}; wait` },
  {
    name: "has a daemon that forked twice",
    script: `(setsid sh -c 'sleep 303 & sleep 304' >/dev/null 2>&1 &); ${ready}; sleep 305`,
  },
];

for (const image of [undefined, "localhost/jacamar-busybox", "localhost/jacamar-demo"]) {
  const where = image === undefined ? "on the host" : `in ${image}`;
  describe(`a job ${where} that the runner cancels`, () => {
    for (const { name, script, says, leastSeconds = 0, killTimeout = "2s" } of cases) {
      // The rest does not depend on the shell in the container.
      if (image === "localhost/jacamar-demo" && !script.includes("trap '")) continue;
      it(`ends with all its processes when its script ${name}`, async () => {
        const job = jobs.job({ general: `kill_timeout = "${killTimeout}"`, ...(image === undefined ? {} : { image }) });
        await job.ready();
        const inProject = `mkdir -p '${job.answer.builds_dir}' && cd '${job.answer.builds_dir}'`;
        const running = job.start("build_script", job.exporting(`${inProject}; ${script}`));
        await running.until("now ready");
        const cancelled = performance.now();
        assert.ok(running.killGroup("SIGTERM"));
        const ended = await running.done;
        const took = (performance.now() - cancelled) / 1000;

        assert.equal(ended.exitCode, 2, logOf(ended));
        assert.match(
          ended.stderr,
          /^ERROR: The script was stopped by GitLab Runner \(cancelled or timed out\), and its processes have been ended$/m,
        );
        if (says !== undefined) {
          assert.ok(ended.stdout.endsWith(says), JSON.stringify(ended.stdout));
          assert.ok(existsSync(`${job.answer.builds_dir}/trap-ran`), "the trap was cut off");
        }
        assert.ok(took >= leastSeconds, `took ${took.toFixed(2)} s`);
        // Nothing but the files, which are cleanup's.
        const traces = await tracesAfter(job, jobs.user, "/nonexistent", 0);
        assert.deepEqual(traces, []);
        const cleanup = await job.cleanup();
        assert.equal(cleanup.exitCode, 0, logOf(cleanup));
        assert.equal(logOf(cleanup), "");
        assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 0), []);
      });
    }
  });
}

it("the driver's exit code is not 0 when the signal comes at the very end of a script that passes", async () => {
  const job = jobs.job({ general: 'kill_timeout = "2s"' });
  await job.ready();
  const running = job.start("build_script", `trap 'exit 0' TERM; ${ready}; while :; do sleep 0.05; done`);
  await running.until("now ready");
  running.killGroup("SIGTERM");
  assert.equal((await running.done).exitCode, 2);
  assert.equal(job.buildExitCode(), "");
});

describe("a prepare stage that the runner ends", () => {
  let silent: Server;
  let port = 0;
  before(async () => {
    // A registry that takes the connection and then says nothing.
    silent = createServer((socket) => socket.on("error", () => undefined));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = silent.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
  });
  after(() => silent.close());

  it("ends a pull that waits for the registry", async () => {
    const job = jobs.job({ image: `127.0.0.1:${port}/group/app:1`, podman: 'image_pull_policy = "always"' });
    assert.equal((await job.config()).exitCode, 0);
    const running = job.startPrepare();
    await running.until("Trying to pull");
    running.killGroup("SIGTERM");
    const ended = await running.done;
    assert.equal(ended.exitCode, 2, logOf(ended));
    assert.match(ended.stderr, /^ERROR: GitLab Runner ended this stage/);
    assert.deepEqual(await tracesAfter(job, jobs.user, "/nonexistent", 0), []);
    assert.equal((await job.cleanup()).exitCode, 0);
    assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 0), []);
  });

  it("ends the administrator's prep_script and what it started", async () => {
    const text = `#!/bin/bash\ntrap '' TERM\nsleep 300.${process.pid} &\necho in prep\nwait\nsleep 299\n`;
    const script = jobs.write("prep", text, 0o700);
    const job = jobs.job({ image: "localhost/jacamar-busybox", podman: `prep_script = "${script}"` });
    assert.equal((await job.config()).exitCode, 0);
    const running = job.startPrepare();
    await running.until("in prep");
    assert.notDeepEqual(processesWith(script), []);
    running.killGroup("SIGTERM");
    const ended = await running.done;
    assert.equal(ended.exitCode, 2, logOf(ended));
    assert.deepEqual(processesWith(script), []);
    assert.deepEqual(processesWith(`300.${process.pid}`), []);
  });
});

it("a config stage that the runner ends never exits with 0, unless it had said all before", async () => {
  const job = jobs.job();
  for (const delay of [0, 5, 10, 20]) {
    const running = job.startConfig();
    await new Promise((resolve) => setTimeout(resolve, delay));
    running.killGroup("SIGTERM");
    const ended = await running.done;
    // On a busy machine the signal may come late. The runner takes no answer at all for the defaults of a job.
    if (ended.exitCode === 0) assert.match(ended.stdout, /^\{"builds_dir":.*\}\}\n$/);
    else assert.ok(ended.exitCode === 2 || ended.signal === "SIGTERM", `${delay} ms: ${logOf(ended)}`);
  }
});
