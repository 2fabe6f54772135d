import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { asUser, type Ended } from "../../harness/machine.ts";
import { slurmMissing } from "../../harness/slurm.ts";
import { Cluster, slurmIdIn } from "../batch/cluster.ts";
import { type AnyJob, Jobs, logOf, type Wanted } from "../stopping/jobs.ts";
import { processesOfJob, tracesAfter, tracesOf } from "../stopping/traces.ts";

const demo = "localhost/jacamar-demo";
const isRoot = process.getuid?.() === 0;

/** A job whose driver and whose runner were killed while its script ran. */
async function abandoned(job: AnyJob): Promise<string> {
  assert.equal((await job.config()).exitCode, 0);
  job.loseRunner();
  const prepare = await job.prepare();
  assert.equal(prepare.exitCode, 0, logOf(prepare));
  return killed(job);
}

async function killed(job: AnyJob): Promise<string> {
  const running = job.start("build_script", job.exporting("echo up; sleep 300"));
  await running.until("up", 30);
  running.killGroup("SIGKILL");
  running.closeOutput();
  await running.done;
  return running.stdout();
}

function reap(jobs: Jobs, job: AnyJob, ...options: readonly string[]): Promise<Ended> {
  return jobs.asUser([jobs.stage.jacamar, "reap", "--configuration", join(job.directory, "jacamar.toml"), ...options]);
}

describe("jacamar reap", () => {
  let jobs: Jobs;
  before(() => {
    jobs = new Jobs("reap");
  });
  after(() => jobs.close());

  const places: readonly (readonly [string, Wanted])[] = [
    ["on the host", {}],
    ["in a container", { image: demo }],
  ];
  for (const [where, wanted] of places) {
    it(`tells what a dead job has left ${where}, removes it with --yes, and then finds nothing`, async () => {
      const job = jobs.job(wanted);
      await abandoned(job);
      const found = await reap(jobs, job);
      assert.equal(found.exitCode, 0, logOf(found));
      assert.match(found.stdout, new RegExp(`^Found job ${job.id} of group/demo: .* of scripts`, "m"));
      assert.notDeepEqual(await tracesOf(job, jobs.user, jobs.dataDir), []);
      const removed = await reap(jobs, job, "--yes");
      assert.equal(removed.exitCode, 0, logOf(removed));
      assert.match(removed.stdout, new RegExp(`^Removed job ${job.id} of group/demo`, "m"));
      assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir), []);
      assert.match((await reap(jobs, job, "--yes")).stdout, /^Nothing is left/);
    });
  }

  it("touches nothing of a job that lives", async () => {
    const job = jobs.job({ image: demo });
    await job.ready();
    await killed(job);
    // The script has said that it is up, and may only now start what it then waits for.
    while (!processesOfJob(job, jobs.user).some(({ command }) => command === "sleep 300")) await setTimeout(20);
    const before = await tracesOf(job, jobs.user, jobs.dataDir);
    assert.match((await reap(jobs, job, "--yes")).stdout, /^Nothing is left/);
    assert.deepEqual(await tracesOf(job, jobs.user, jobs.dataDir), before);
    await job.cleanup();
  });

  it("removes a container whose job has no directories any more, and none that is not ours", async () => {
    const job = jobs.job({ image: demo });
    await abandoned(job);
    await jobs.asUser(["rm", "-rf", `${jobs.dataDir}/scripts`]);
    const other = await jobs.asUser(["podman", "create", "--name", `other-${job.id}`, demo, "true"]);
    assert.equal(other.exitCode, 0, logOf(other));
    const removed = await reap(jobs, job, "--yes");
    const told = `^Removed container jacamar-ci-${job.id}-.*\\(running\\): \\S+ \\w*B written$`;
    assert.match(removed.stdout, new RegExp(told, "m"), logOf(removed));
    const left = await jobs.asUser(["podman", "ps", "--all", "--format", "{{.Names}}"]);
    assert.doesNotMatch(left.stdout, new RegExp(`jacamar-ci-${job.id}-`));
    assert.match(left.stdout, new RegExp(`^other-${job.id}$`, "m"));
    await jobs.asUser(["podman", "rm", `other-${job.id}`]);
  });

  it("leaves a container alone that only its image calls ours", async () => {
    const job = jobs.job({});
    const [image, name] = [`localhost/jacamar-forged-${job.id}`, `innocent-${job.id}`];
    const host = hostname().replaceAll(/[^A-Za-z0-9_.-]/g, "_");
    const script = `set -euo pipefail
      made=$(podman create localhost/jacamar-busybox)
      podman export "$made" | podman import --quiet --change "LABEL jacamar-ci.job=1-${"a".repeat(12)}" --change "LABEL jacamar-ci.life=${host}/4194305/1/1" - "$1"
      podman rm "$made"
      podman run --detach --name "$2" "$1" sleep 300`;
    const started = await jobs.asUser(["bash", "-c", script, "-", image, name]);
    try {
      assert.equal(started.exitCode, 0, logOf(started));
      assert.match((await reap(jobs, job, "--yes")).stdout, /^Nothing is left/);
      const left = await jobs.asUser(["podman", "ps", "--format", "{{.Names}}"]);
      assert.match(left.stdout, new RegExp(`^${name}$`, "m"));
    } finally {
      await jobs.asUser(["podman", "rm", "--force", "--time", "0", name]);
      await jobs.asUser(["podman", "rmi", "--force", image]);
    }
  });

  it("is safe beside itself", async () => {
    const job = jobs.job({ image: demo });
    await abandoned(job);
    const all = await Promise.all([1, 2, 3].map(() => reap(jobs, job, "--yes")));
    for (const one of all) assert.equal(one.exitCode, 0, logOf(one));
    assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir), []);
  });

  it("tells what no job uses any more, and removes it with --yes", async () => {
    const job = jobs.job({
      image: demo,
      general: "static_builds_dir = true\n",
      variables: { CI_CONCURRENT_PROJECT_ID: "0" },
    });
    await job.ready();
    const unused = join(dirname(job.answer.builds_dir), "project-98");
    const made = await jobs.asUser([
      "sh",
      "-c",
      `mkdir -p "$1/a" && echo x > "$1/a/b" && touch -d '9 days ago' "$1"`,
      "-",
      unused,
    ]);
    assert.equal(made.exitCode, 0, made.stderr);
    const archives = join(jobs.dataDir, "archives");
    const half = join(archives, `docker-dir-${"0".repeat(64)}.new-1-${"0".repeat(12)}`);
    await jobs.asUser(["mkdir", "-m", "0700", "-p", archives, half]);
    const found = await reap(jobs, job);
    assert.match(
      found.stdout,
      /^Found builds directory tEsT-runN\/project-98: .*, without a job for 9 days$/m,
      logOf(found),
    );
    assert.match(found.stdout, /^Found 1 archive of images, .*: left half-made$/m);
    assert.ok(existsSync(unused) && existsSync(half));
    const removed = await reap(jobs, job, "--yes");
    assert.equal(removed.exitCode, 0, logOf(removed));
    assert.match(removed.stdout, /^Removed builds directory tEsT-runN\/project-98/m);
    assert.match(removed.stdout, /^Removed 1 archive of images/m);
    assert.ok(!existsSync(unused) && !existsSync(half));
    assert.ok(existsSync(job.answer.builds_dir), "a living job's");
    await job.cleanup();
  });

  it("reaps for another user as that user, for root alone", { skip: isRoot ? false : "it takes root" }, async () => {
    const root = { name: "root", uid: 0, gid: 0, home: "/root" };
    for (const whose of [["--user", jobs.user.name], ["--all-users"]]) {
      // As a site has it: everybody's own.
      const dataDir = jobs.dataDir.replace(jobs.user.home, () => "$HOME");
      const job = jobs.job({ image: demo, dataDir });
      await abandoned(job);
      const configuration = join(jobs.stage.directory, `reap-${job.id}.toml`);
      const argv = [jobs.stage.jacamar, "reap", "--configuration", configuration, "--yes", ...whose];
      await asUser(root, ["cp", join(job.directory, "jacamar.toml"), configuration]);
      const removed = await asUser(root, argv);
      assert.equal(removed.exitCode, 0, logOf(removed));
      assert.match(removed.stdout, new RegExp(`^Removed job ${job.id} of`, "m"));
      assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir), []);
    }
    const job = jobs.job({});
    const refused = await reap(jobs, job, "--user", jobs.user.name);
    assert.notEqual(refused.exitCode, 0);
    assert.match(refused.stderr, /take root/);
    const configuration = join(jobs.stage.directory, `reap-${job.id}.toml`);
    await asUser(root, ["cp", join(job.directory, "jacamar.toml"), configuration]);
    const daemon = await asUser(root, [
      jobs.stage.jacamar,
      "reap",
      "--configuration",
      configuration,
      "--user",
      "daemon",
    ]);
    assert.notEqual(daemon.exitCode, 0);
    assert.match(daemon.stderr, /^ERROR: Reaping for daemon ended with exit code 2$/m);
  });
});

describe("jacamar reap, with Slurm", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  before(() => {
    cluster = new Cluster("reap");
  });
  after(() => cluster.close());

  it("cancels what a dead job has in the queue", async () => {
    const job = cluster.job({ image: demo });
    await abandoned(job);
    assert.equal(cluster.queue().length, 1);
    const removed = await reap(cluster.jobs, job, "--yes");
    assert.equal(removed.exitCode, 0, logOf(removed));
    assert.deepEqual(await cluster.traces(job), []);
  });

  it("removes the containers of one job of the scheduler, as an epilog does, though the CI job lives", async () => {
    const job = cluster.job({ image: demo });
    await job.ready();
    const log = await killed(job);
    const id = slurmIdIn(log);
    assert.match((await reap(cluster.jobs, job, "--yes", "--batch-job", "999")).stdout, /^Nothing/);
    const removed = await reap(cluster.jobs, job, "--yes", "--batch-job", id);
    assert.match(removed.stdout, new RegExp(`^Removed container jacamar-ci-${job.id}-`, "m"), logOf(removed));
    assert.ok(existsSync(job.directoryOf("privateDir")));
    await job.cleanup();
    assert.deepEqual(await cluster.traces(job), []);
  });
});
