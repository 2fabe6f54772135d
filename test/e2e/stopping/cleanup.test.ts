import assert from "node:assert/strict";
import { existsSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Ended } from "../../harness/machine.ts";
import { type AnyJob, Jobs, logOf } from "./jobs.ts";
import { processesWith, tracesAfter } from "./traces.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("cleanup");
});
after(() => jobs.close());

const image = "localhost/jacamar-busybox";
/** Two attempts are of one job. The same tests may run at the same time by another door. */
const attempted = 700_000_000 + process.pid;

function assertQuiet(ended: Ended): void {
  assert.equal(ended.exitCode, 0, logOf(ended));
  assert.equal(logOf(ended), "");
}

async function assertNothingLeft(job: AnyJob): Promise<void> {
  assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 0), []);
}

describe("cleanup ends quietly", () => {
  it("when no stage came before it", async () => {
    assertQuiet(await jobs.job({ image }).cleanup());
  });

  it("when the config stage failed", async () => {
    const job = jobs.job({ image, general: "no_such_key = 1" });
    assert.equal((await job.config()).exitCode, 2);
    assertQuiet(await job.cleanup());
  });

  it("when only the config stage came before it", async () => {
    const job = jobs.job({ image });
    await job.config();
    assertQuiet(await job.cleanup());
    await assertNothingLeft(job);
  });

  it("when the prepare stage failed; and the job's next attempts work", async () => {
    const attempts = [`${image}-that-is-not-there`, image].map((name) => jobs.job({ image: name, id: attempted }));
    for (const [index, job] of attempts.entries()) {
      await job.config();
      assert.equal((await job.prepare()).exitCode, index === 0 ? 1 : 0);
      if (index === 1) assert.equal((await job.run("build_script", "true")).exitCode, 0);
      assertQuiet(await job.cleanup());
      await assertNothingLeft(job);
    }
  });

  it("when the job asked for a builds directory that it cannot have", async () => {
    const job = jobs.job({ general: "custom_build_dir = true", variables: { CUSTOM_CI_BUILDS_DIR: "/root/builds" } });
    await job.config();
    assert.equal((await job.prepare()).exitCode, 1);
    assertQuiet(await job.cleanup());
    await assertNothingLeft(job);
  });

  it("when it comes a second time", async () => {
    for (const options of [{}, { image }]) {
      const job = jobs.job(options);
      await job.ready();
      await job.run("build_script", "exit 3");
      assertQuiet(await job.cleanup());
      await assertNothingLeft(job);
      assertQuiet(await job.cleanup());
      await assertNothingLeft(job);
    }
  });

  it("when two come at once", async () => {
    const job = jobs.job({ image });
    await job.ready();
    for (const ended of await Promise.all([job.cleanup(), job.cleanup()])) assertQuiet(ended);
    await assertNothingLeft(job);
  });
});

describe("cleanup removes all that is left", () => {
  for (const [name, damage] of Object.entries({
    "is gone": (file: string) => rmSync(file),
    "was cut off": (file: string) => truncateSync(file, 20),
  })) {
    it(`although the job response ${name}`, async () => {
      const job = jobs.job({ image });
      await job.ready();
      damage(join(job.directory, "response.json"));
      const cleanup = await job.cleanup();
      assert.doesNotMatch(logOf(cleanup), /internal error|\n\s+at /);
      await assertNothingLeft(job);
    });
  }

  for (const where of ["host", "container"] as const) {
    const script = "trap '' TERM; echo ready; while :; do sleep 1; done";

    it(`beside a script (${where}) that the runner is still ending`, async () => {
      const job = jobs.job({ general: 'kill_timeout = "2s"', ...(where === "host" ? {} : { image }) });
      await job.ready();
      const running = job.start("build_script", job.exporting(script));
      await running.until("ready");
      running.killGroup("SIGTERM");
      const [run, cleanup] = await Promise.all([running.done, job.cleanup()]);
      assert.equal(run.exitCode, 2, logOf(run));
      assert.equal(cleanup.exitCode, 0, logOf(cleanup));
      assert.doesNotMatch(logOf(run) + logOf(cleanup), /internal error|\n\s+at /);
      await assertNothingLeft(job);
    });

    it(`beside a script (${where}) that nobody has ended`, async () => {
      const job = jobs.job({ general: 'kill_timeout = "1s"', ...(where === "host" ? {} : { image }) });
      await job.ready();
      const running = job.start("build_script", job.exporting(script));
      await running.until("ready");
      const cleanup = await job.cleanup();
      assert.equal(cleanup.exitCode, 0, logOf(cleanup));
      const run = await running.done;
      assert.notEqual(run.exitCode, 0);
      assert.doesNotMatch(logOf(run) + logOf(cleanup), /internal error|\n\s+at /);
      await assertNothingLeft(job);
    });
  }

  it("of the file variables in the work tree that the job has chosen, and gives the tree back to the user", async () => {
    // GIT_STRATEGY=empty, and GIT_CLONE_PATH: the runner tells what it has made of them.
    const tree = join(jobs.dataDir, "builds/tEsT-runN/000/my tree/demo-empty");
    const job = jobs.job({ image, variables: { RUNNER_TEMP_PROJECT_DIR: `${tree}.tmp` } });
    await job.ready();
    const script = `mkdir -p '${tree}.tmp' '${tree}/of-another'
      echo secret > '${tree}.tmp/KUBECONFIG'
      chown -R 1234 '${tree}'`;
    assert.equal((await job.run("build_script", script)).exitCode, 0);
    assert.notEqual(statSync(tree).uid, jobs.user.uid);
    assertQuiet(await job.cleanup());
    assert.equal(existsSync(`${tree}.tmp`), false);
    assert.equal(statSync(`${tree}/of-another`).uid, jobs.user.uid);
  });

  it("of a daemon that a script left on the host, though nothing but its environment names the job", async () => {
    const job = jobs.job();
    await job.ready();
    const seconds = `318.${job.id}`;
    const run = await job.run("build_script", job.exporting(`(setsid sleep ${seconds} </dev/null >/dev/null 2>&1 &)`));
    assert.equal(run.exitCode, 0, logOf(run));
    while (processesWith(`sleep\0${seconds}`).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const cleanup = await job.cleanup();
    assert.equal(logOf(cleanup), "Ended 1 process(es) that the job had left\n");
    await assertNothingLeft(job);
    assert.deepEqual(processesWith(`sleep\0${seconds}`), []);
  });
});
