import assert from "node:assert/strict";
import { existsSync, lstatSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { TestJob } from "../../harness/job.ts";
import { asUser, testUser } from "../../harness/machine.ts";
import { filesBelow } from "../../harness/snapshot.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";

const user = testUser();
const dataDir = join(user.home, `.jacamar-e2e-runner-gone-${process.pid}`);
const demo = "localhost/jacamar-demo:latest";

describe("what a job leaves for the next one", () => {
  let stage: Stage;
  before(() => {
    stage = stageBundle();
  });
  after(() => {
    stage.remove();
    rmSync(dataDir, { recursive: true, force: true });
  });

  function newJob(image?: string): TestJob {
    const configuration = `
[general]
executor = "shell"
data_dir = "${dataDir}"
kill_timeout = "2s"
run_mechanism = "podman"
[general.podman]
image_pull_policy = "never"
`;
    return new TestJob({ user, jacamar: stage.jacamar, configuration, ...(image === undefined ? {} : { image }) });
  }

  async function ready(job: TestJob): Promise<void> {
    assert.equal((await job.config()).exitCode, 0);
    assert.equal((await job.prepare()).exitCode, 0);
  }

  async function containersOf(job: TestJob): Promise<string> {
    const listed = await asUser(user, [
      "podman",
      "ps",
      "--all",
      "--format",
      "{{.Names}}",
      "--filter",
      `name=jacamar-ci-${job.id}-`,
    ]);
    return listed.stdout.trim();
  }

  async function until(isSo: () => boolean | Promise<boolean>, seconds: number): Promise<boolean> {
    const end = Date.now() + seconds * 1000;
    while (Date.now() < end) {
      if (await isSo()) return true;
      await pause(100);
    }
    return isSo();
  }

  for (const [where, image] of [
    ["on the host", undefined],
    ["in a container", demo],
  ] as const) {
    it(`is nothing when the runner is killed while a script runs ${where}`, async () => {
      const job = newJob(image);
      await ready(job);
      const scripts = job.directoryOf("scriptsDir");
      const runner = job.start("build_script", "echo started; sleep 300", ["sh", "-c", '"$0" "$@" & wait']);
      await runner.until("started");
      runner.kill("SIGKILL");
      runner.closeOutput();
      assert.ok(await until(() => !existsSync(scripts) && !existsSync(`${scripts}.private`), 20), "its files are gone");
      assert.equal(await containersOf(job), "");
      job.remove();
    });

    it(`is no script beside the next stage when the driver was killed while one ran ${where}`, async () => {
      const job = newJob(image);
      await ready(job);
      const file = join(job.directoryOf("buildsDir"), `alive-${job.id}`);
      const running = job.start(
        "build_script",
        `trap '' TERM; echo started; while :; do echo x >> '${file}'; sleep 0.1; done`,
      );
      await running.until("started");
      running.killGroup("SIGKILL");
      await running.done;
      const next = await job.run("after_script", "sleep 0.5");
      assert.equal(next.exitCode, 0, next.stderr);
      const size = lstatSync(file).size;
      await pause(500);
      assert.equal(lstatSync(file).size, size, "the first script has ended");
      await job.cleanup();
      job.remove();
    });
  }

  it("is a work tree of the user's alone, whatever users of the container its files were given to", async () => {
    const job = newJob(demo);
    await ready(job);
    const project = job.directoryOf("projectDir");
    const script = `mkdir -p '${project}/x/y'; echo z > '${project}/x/y/z'; chown -R 1234 '${project}/x'; chmod 700 '${project}/x'`;
    const run = await job.run("build_script", script);
    assert.equal(run.exitCode, 0, run.stderr);
    assert.notEqual(lstatSync(join(project, "x")).uid, user.uid);
    const cleanup = await job.cleanup();
    assert.equal(cleanup.exitCode, 0, cleanup.stderr);
    for (const path of filesBelow(project)) assert.equal(lstatSync(path.replace(/[/@]$/, "")).uid, user.uid, path);
    assert.ok(existsSync(join(project, "x/y/z")));
    job.remove();
  });

  it("is a builds directory of the user's, when a container gave all of it away", async () => {
    const job = newJob(demo);
    await ready(job);
    const builds = job.directoryOf("buildsDir");
    const run = await job.run("build_script", `mkdir -p '${job.directoryOf("projectDir")}'; chown -R 1000 '${builds}'`);
    assert.equal(run.exitCode, 0, run.stderr);
    assert.notEqual(lstatSync(builds).uid, user.uid);
    const cleanup = await job.cleanup();
    assert.equal(cleanup.exitCode, 0, cleanup.stderr);
    assert.equal(lstatSync(builds).uid, user.uid);
    await ready(job);
    await job.cleanup();
    job.remove();
  });

  it("is no background process, also when the job hides its token", async () => {
    const job = newJob();
    await ready(job);
    const marker = `31${job.id}`;
    const run = await job.run("build_script", `export CI_JOB_TOKEN=nothing; (sleep ${marker} > /dev/null 2>&1 &)`);
    assert.equal(run.exitCode, 0, run.stderr);
    const found = async () => (await asUser(user, ["pgrep", "-f", `^sleep ${marker}$`])).exitCode === 0;
    assert.equal(await found(), true);
    await job.cleanup();
    assert.equal(await found(), false);
    job.remove();
  });
});
