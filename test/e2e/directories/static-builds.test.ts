import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { asUser } from "../../harness/machine.ts";
import { startTimeOf } from "../../../src/process/job-processes.ts";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("static-builds");
});
after(() => jobs.close());

const image = "localhost/jacamar-busybox";
const day = 86_400;

function staticJob(wanted: { slot?: number; count?: string; image?: string; general?: string } = {}): AnyJob {
  const { count = "0", general = "", ...others } = wanted;
  return jobs.job({
    ...others,
    general: `static_builds_dir = true\n${general}`,
    variables: { CI_CONCURRENT_PROJECT_ID: count },
  });
}

async function ran(job: AnyJob, body: string): Promise<string> {
  await job.ready();
  const run = await job.run("build_script", `mkdir -p '${projectOf(job)}'; cd '${projectOf(job)}'; ${body}`);
  assert.equal(run.exitCode, 0, logOf(run));
  return run.stdout.replaceAll("\r\n", "\n");
}

function projectOf(job: AnyJob): string {
  return `${job.answer.builds_dir}/${job.slug}`;
}

/** An unused builds directory of a project, with files of a container's other users in it. */
async function makeUnused(parent: string, name: string, days: number): Promise<string> {
  const path = join(parent, name);
  const script = `mkdir -p '${path}/group/demo/deep' && : > '${path}/group/demo/deep/file' && chmod 0700 '${parent}' &&
    chown -R 5:5 '${path}/group/demo/deep' && chmod 0700 '${path}/group/demo/deep'`;
  const made = await asUser(jobs.user, ["podman", "unshare", "sh", "-c", script]);
  assert.equal(made.exitCode, 0, made.stderr);
  const time = Date.now() / 1000 - days * day;
  utimesSync(path, time, time);
  return path;
}

describe("with static_builds_dir", () => {
  for (const [where, wanted] of [
    ["on the host", {}],
    ["in a container", { image }],
  ] as const) {
    it(`a project's job finds in any slot what the job before has left (${where})`, async () => {
      const first = staticJob({ ...wanted, slot: 3 });
      await ran(first, `echo from the first > left; mkdir -p ../demo.tmp; echo secret > ../demo.tmp/FILE`);
      assert.equal(first.answer.builds_dir, `${jobs.dataDir}/builds/tEsT-runN/project-17`);
      assert.equal((await first.cleanup()).exitCode, 0);
      assert.ok(!existsSync(`${projectOf(first)}.tmp`));

      const second = staticJob({ ...wanted, slot: 8 });
      assert.match(await ran(second, "cat left; ls ../"), /^from the first\ndemo$/m);
      assert.equal(second.answer.builds_dir, first.answer.builds_dir);
      assert.notEqual(second.directoryOf("scriptsDir"), first.directoryOf("scriptsDir"));
      assert.equal((await second.cleanup()).exitCode, 0);
      // No lease stays, and a second cleanup does no harm.
      assert.deepEqual(readdirSync(dirname(first.answer.builds_dir)), ["project-17"]);
      assert.equal((await second.cleanup()).exitCode, 0);
    });
  }

  it("jobs of a project that run at once have directories of their own", async () => {
    const [one, two] = [staticJob({ slot: 0, count: "0" }), staticJob({ slot: 1, count: "1" })];
    await Promise.all([ran(one, "echo one > mine"), ran(two, "echo two > mine")]);
    assert.equal(two.answer.builds_dir, `${one.answer.builds_dir}-1`);
    assert.equal(readFileSync(`${projectOf(one)}/mine`, "utf8"), "one\n");
    assert.equal(readFileSync(`${projectOf(two)}/mine`, "utf8"), "two\n");
    await one.cleanup();
    await two.cleanup();
  });

  it("a job of another runner that has the same token is refused, and does the one that runs no harm", async () => {
    const running = staticJob({ slot: 0 });
    await ran(running, "mkdir -p ../demo.tmp; echo secret > ../demo.tmp/FILE");
    // The lease is as another runner on this machine would have made it: process 1 lives as long as the test.
    const lease = `${running.answer.builds_dir}.lease`;
    const text = readFileSync(lease, "utf8");
    const others = text.replace(/"life":"([^/]+)\/[0-9]+\/[0-9]+\//, `"life":"$1/1/${startTimeOf(1)}/`);
    assert.notEqual(others, text);
    writeFileSync(lease, others);

    const other = staticJob({ slot: 1 });
    assert.equal((await other.config()).exitCode, 0);
    const prepare = await other.prepare();
    assert.equal(prepare.exitCode, 2, logOf(prepare));
    assert.match(prepare.stderr, new RegExp(`project-17" is in use by the job ${running.id} of another runner`));
    assert.equal((await other.cleanup()).exitCode, 0);
    assert.ok(existsSync(`${projectOf(running)}.tmp/FILE`));
    assert.ok(existsSync(lease));

    assert.equal((await running.cleanup()).exitCode, 0);
    assert.ok(!existsSync(lease) && !existsSync(`${projectOf(running)}.tmp`));
    await ran(staticJob({ slot: 1 }), "true");
  });

  it("the next job of the runner takes over from one whose cleanup never came", async () => {
    const lost = staticJob();
    await ran(lost, "true");
    const next = staticJob();
    await ran(next, "true");
    // What comes late does not end the lease of the job that has it now.
    assert.equal((await lost.cleanup()).exitCode, 0);
    assert.ok(existsSync(`${next.answer.builds_dir}.lease`));
    assert.equal((await next.cleanup()).exitCode, 0);
    assert.ok(!existsSync(`${next.answer.builds_dir}.lease`));
  });

  it("cleanup removes the directories that no job has used for so many days, and no other", async () => {
    const job = staticJob({ general: "static_dir_retention = 3" });
    await ran(job, "true");
    const parent = dirname(job.answer.builds_dir);
    const old = await makeUnused(parent, "project-98", 4);
    const otherRunners = await makeUnused(join(dirname(parent), "oTheR"), "project-97-1", 4);
    const left = await makeUnused(parent, ".unused-project-96-1-x", 0);
    const young = await makeUnused(parent, "project-95", 2);
    const slot = await makeUnused(parent, "042", 400);
    // The job that runs is never unused.
    const past = Date.now() / 1000 - 9 * day;
    utimesSync(job.answer.builds_dir, past, past);
    const cleanup = await job.cleanup();
    assert.equal(cleanup.exitCode, 0, logOf(cleanup));
    assert.match(cleanup.stdout, /Removed 3 builds directories without a job for 3 days/);
    for (const path of [old, otherRunners, left]) assert.ok(!existsSync(path), path);
    for (const path of [young, slot, job.answer.builds_dir]) assert.ok(existsSync(path), path);
    assert.ok(Date.now() - statSync(job.answer.builds_dir).mtimeMs < day * 1000);
  });

  it("cleanup removes none with static_dir_retention = 0", async () => {
    const job = staticJob({ general: "static_dir_retention = 0" });
    await ran(job, "true");
    const old = await makeUnused(dirname(job.answer.builds_dir), "project-94", 4000);
    assert.equal((await job.cleanup()).exitCode, 0);
    assert.ok(existsSync(old));
  });
});
