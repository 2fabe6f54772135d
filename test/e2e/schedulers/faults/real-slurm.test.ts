import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { slurmMissing } from "../../../harness/slurm.ts";
import { Cluster, logOf } from "../../batch/cluster.ts";

/** What the stand-in shows for all schedulers, where a real Slurm can be made to show it; each on a Slurm of its own. */
describe("a real Slurm whose controller goes away", { skip: slurmMissing(), concurrency: 2 }, () => {
  let count = 0;

  function onSlurm(title: string, test: (cluster: Cluster) => Promise<void>, lines: readonly string[] = []): void {
    it(title, async () => {
      count += 1;
      const cluster = new Cluster(`faults-${count}`, lines);
      try {
        await test(cluster);
      } finally {
        // A cleanup asks it.
        cluster.slurm.controller.thaw();
        cluster.slurm.controller.up();
        await cluster.close();
      }
    });
  }

  async function started(cluster: Cluster, schedulerParameters: string, body: string) {
    const job = cluster.job({ variables: { SCHEDULER_PARAMETERS: schedulerParameters } });
    await job.ready();
    return { job, running: job.start("build_script", job.exporting(body)) };
  }

  onSlurm("is waited for while a job waits", async (cluster) => {
    const { job, running } = await started(cluster, "--hold", "echo ran; exit 7");
    await running.until("waits in the queue", 60);
    const [id = ""] = cluster.ask("squeue", "--noheader", "--format=%i").trim().split("\n");
    cluster.slurm.controller.down();
    await pause(4000);
    cluster.slurm.controller.up();
    cluster.ask("scontrol", "release", id);
    const ended = await running.done;
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
  });

  onSlurm("is not missed while a job runs and ends", async (cluster) => {
    const { job, running } = await started(cluster, "", "echo up; sleep 3; echo the end; exit 7");
    await running.until("up", 60);
    cluster.slurm.controller.down();
    const ended = await running.done;
    cluster.slurm.controller.up();
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
    assert.match(ended.stdout, /^the end$/m);
  });

  onSlurm("does not run a job twice when it has taken one without saying so", async (cluster) => {
    const job = cluster.job({});
    await job.ready();
    // Connections are taken and not answered: sbatch gives up after ten seconds, and the job is in the queue later.
    cluster.slurm.controller.freeze();
    const running = job.start("build_script", job.exporting("echo ran; exit 7"));
    await running.until("Looking for", 120);
    cluster.slurm.controller.thaw();
    const ended = await running.done;
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
    assert.equal(ended.stdout.split(/^ran$/m).length, 2, ended.stdout);
    await job.cleanup();
    assert.deepEqual(await cluster.traces(job), []);
  });

  onSlurm(
    "is followed by what a job says of itself that has ended, and is forgotten, before sbatch was lost",
    async (cluster) => {
      const bin = binOf(
        cluster,
        '/usr/bin/sbatch "$@" >/dev/null\nwhile /usr/bin/squeue -h -t all | grep -q .; do sleep 0.2; done\nkill -KILL $$',
      );
      const job = cluster.job({ batch: `scheduler_bin = ${JSON.stringify(bin)}` });
      await job.ready();
      const ended = await job.run("build_script", job.exporting("echo ran; exit 7"), 120);
      assert.equal(ended.exitCode, 1, logOf(ended));
      assert.equal(job.buildExitCode(), "7\n");
      assert.equal(ended.stdout.split(/^ran$/m).length, 2, ended.stdout);
      assert.equal((await job.cleanup()).exitCode, 0);
    },
    ["MinJobAge=2"],
  );

  onSlurm("runs a job once that a site's sbatch has submitted twice", async (cluster) => {
    // The first has begun when the second is submitted, whose number is all that the driver hears of.
    const begun = 'for last; do :; done\nuntil ls "${last%/*}.private/"*.job-id >/dev/null 2>&1; do sleep 0.1; done';
    const bin = binOf(cluster, `/usr/bin/sbatch "$@" >/dev/null\n${begun}\nexec /usr/bin/sbatch "$@"`);
    const job = cluster.job({ batch: `scheduler_bin = ${JSON.stringify(bin)}` });
    await job.ready();
    const ended = await job.run("build_script", job.exporting("echo ran; sleep 12; echo the end; exit 7"), 120);
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), "7\n");
    assert.equal(ended.stdout.split(/^ran$/m).length, 2, ended.stdout);
    assert.match(ended.stdout, /Submitted as Slurm job 2 [\s\S]*runs as Slurm job 1[\s\S]*^the end$/m);
    assert.equal((await job.cleanup()).exitCode, 0);
    assert.deepEqual(await cluster.traces(job), []);
  });

  onSlurm("leaves no job that was to be ended meanwhile", async (cluster) => {
    const { job, running } = await started(cluster, "", "echo up; sleep 300");
    await running.until("up", 60);
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

/** Slurm's programs, with another sbatch. Returns their directory. */
function binOf(cluster: Cluster, sbatch: string): string {
  const bin = join(cluster.jobs.directory, "bin");
  mkdirSync(bin, { mode: 0o755 });
  for (const name of ["squeue", "scontrol", "scancel", "sacct"]) symlinkSync(`/usr/bin/${name}`, join(bin, name));
  writeFileSync(join(bin, "sbatch"), `#!/bin/sh\n${sbatch}\n`, { mode: 0o755 });
  return bin;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
