import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { slurmMissing } from "../harness/slurm.ts";
import { Cluster } from "../e2e/batch/cluster.ts";
import { logOf } from "../e2e/stopping/jobs.ts";

/** What the stand-in shows for all schedulers, where a real Slurm can be made to show it. */
describe("a real Slurm whose controller goes away", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  before(() => {
    cluster = new Cluster("faults");
  });
  after(() => cluster.close());

  async function started(schedulerParameters: string, body: string) {
    const job = cluster.job({ variables: { SCHEDULER_PARAMETERS: schedulerParameters } });
    await job.ready();
    return { job, running: job.start("build_script", job.exporting(body)) };
  }

  it("is waited for while a job waits", async () => {
    const { job, running } = await started("--hold", "echo ran; exit 7");
    await running.until("waits in the queue", 30);
    const [id = ""] = cluster.ask("squeue", "--noheader", "--format=%i").trim().split("\n");
    cluster.slurm.controller.down();
    await pause(4000);
    cluster.slurm.controller.up();
    cluster.ask("scontrol", "release", id);
    const ended = await running.done;
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
  });

  it("is not missed while a job runs and ends", async () => {
    const { job, running } = await started("", "echo up; sleep 3; echo the end; exit 7");
    await running.until("up", 30);
    cluster.slurm.controller.down();
    const ended = await running.done;
    cluster.slurm.controller.up();
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
    assert.match(ended.stdout, /^the end$/m);
  });

  it("does not run a job twice when it has taken one without saying so", async () => {
    const job = cluster.job({});
    await job.ready();
    // Connections are taken and not answered: sbatch gives up after ten seconds, and the job is in the queue.
    cluster.slurm.controller.freeze();
    const running = job.start("build_script", "echo ran; exit 7");
    await pause(8000);
    cluster.slurm.controller.thaw();
    const ended = await running.done;
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
    assert.equal(ended.stdout.split(/^ran$/m).length, 2, ended.stdout);
    await job.cleanup();
    assert.deepEqual(await cluster.traces(job), []);
  });

  it("leaves no job that was to be ended meanwhile", async () => {
    const { job, running } = await started("", "echo up; sleep 300");
    await running.until("up", 30);
    cluster.slurm.controller.down();
    running.killGroup("SIGTERM");
    await pause(5000);
    cluster.slurm.controller.up();
    const ended = await running.done;
    assert.equal(ended.exitCode, 2, logOf(ended));
    assert.equal((await job.cleanup()).exitCode, 0);
    assert.deepEqual(await cluster.traces(job), []);
  });
});

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
