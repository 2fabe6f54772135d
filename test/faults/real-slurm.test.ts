import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Cluster, logOf } from "../e2e/batch/cluster.ts";
import { slurmMissing } from "../harness/slurm.ts";

describe("a real Slurm that takes a job when nobody waits for it any more", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  before(() => {
    cluster = new Cluster("ghosts");
  });
  after(() => cluster.close());

  it("runs nothing of it, and jacamar reap takes away what cleanup had to leave", async () => {
    const { jobs, slurm } = cluster;
    const job = cluster.job({});
    await job.config();
    job.loseRunner();
    assert.equal((await job.prepare()).exitCode, 0);
    const ran = join(jobs.directory, `ran-${job.id}`);
    slurm.controller.freeze();
    const running = job.start("build_script", `touch ${ran}`);
    // sbatch is waiting by then; it gives up by itself.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    running.killGroup("SIGTERM");
    const ended = await running.done;
    assert.equal(ended.exitCode, 2, logOf(ended));
    assert.match(ended.stderr, /Nobody knows whether Slurm has taken the job/);
    const cleanup = await job.cleanup(250);
    assert.equal(cleanup.exitCode, 2, logOf(cleanup));
    assert.match(cleanup.stdout, /"jacamar reap" ends it/);

    slurm.controller.thaw();
    const all = () => cluster.ask("squeue", "--noheader", "--states=all", "--format=%T %j");
    for (let look = 0; look < 300 && !/^FAILED /m.test(all()); look += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.match(all(), new RegExp(`^FAILED jacamar-ci-${job.id}-`, "m"));
    assert.equal(existsSync(ran), false, "it ran");
    const argv = [jobs.stage.jacamar, "reap", "--configuration", join(job.directory, "jacamar.toml"), "--yes"];
    const reap = await jobs.asUser(argv);
    assert.equal(reap.exitCode, 0, logOf(reap));
    assert.deepEqual(await cluster.traces(job), []);
  });
});
