import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { slurmMissing } from "../../harness/slurm.ts";
import type { AnyJob, Wanted } from "../stopping/jobs.ts";
import { Cluster, logOf } from "./cluster.ts";

const demo = "localhost/jacamar-demo";

describe("an allocation that CI jobs share", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  before(() => {
    cluster = new Cluster("allocation");
  });
  after(() => cluster.close());

  async function ready(action: string, key: string, wanted: Wanted = {}): Promise<AnyJob> {
    const variables = {
      JACAMAR_SCHEDULER_ACTION: action,
      JACAMAR_SCHEDULER_JOB_KEY: key,
      SCHEDULER_PARAMETERS: "-n 2 --time=5",
      ...wanted.variables,
    };
    const job = cluster.job({ ...wanted, variables });
    await job.ready();
    return job;
  }

  it("is taken by one job, used by others, and given back by a last one", async () => {
    const first = await ready("allocate", "mine");
    const taken = await first.run("build_script", "echo in $SLURM_JOB_ID; srun --ntasks=1 echo inner; exit 3");
    assert.equal(taken.exitCode, 1, logOf(taken));
    assert.equal(first.buildExitCode(), "3\n");
    const id = /^in (\d+)$/m.exec(taken.stdout)?.[1];
    assert.match(taken.stdout, new RegExp(`Submitted Slurm job ${id}: the shared allocation "mine"`));
    assert.match(taken.stdout, /^inner$/m);
    assert.equal((await first.cleanup()).exitCode, 0);
    assert.equal(cluster.queue().length, 1, "the allocation outlives the job that took it");

    for (const wanted of [{}, { image: demo }]) {
      const next = await ready("reattach", "mine", wanted);
      const run = await next.run("build_script", "echo in $SLURM_JOB_ID");
      assert.match(run.stdout, new RegExp(`^in ${id}$`, "m"), logOf(run));
      assert.doesNotMatch(run.stdout, /Submitted/);
      assert.equal((await next.cleanup()).exitCode, 0);
      assert.deepEqual(await cluster.traces(next), []);
    }

    const last = await ready("cancel", "mine");
    const run = await last.run("build_script", "echo in $SLURM_JOB_ID");
    assert.equal(run.exitCode, 0, logOf(run));
    assert.match(run.stdout, /Gave the shared allocation "mine" back/);
    assert.deepEqual(cluster.queue(), []);
    await last.cleanup();
  });

  it("has a default key, the pipeline's", async () => {
    const job = await ready("allocate", "");
    const run = await job.run("build_script", "true");
    assert.match(run.stdout, /the shared allocation "ci-build-900"/, logOf(run));
    const last = await ready("cancel", "");
    await last.run("build_script", "true");
    await job.cleanup();
    await last.cleanup();
    assert.deepEqual(cluster.queue(), []);
  });

  it("is missed with a clear word when it is gone", async () => {
    for (const action of ["reattach", "cancel"]) {
      const job = await ready(action, "never taken; $(id)");
      const run = await job.run("build_script", "echo ran");
      assert.equal(run.exitCode, 1, logOf(run));
      assert.match(run.stderr, /There is no shared allocation "never taken; \$\(id\)" of yours in this project/);
      assert.equal(run.stdout, "");
      await job.cleanup();
    }
  });

  it("is no other action", async () => {
    const job = await ready("release", "x");
    const run = await job.run("build_script", "echo ran");
    assert.equal(run.exitCode, 1);
    assert.match(run.stderr, /"release", which is no action/);
    await job.cleanup();
  });

  it("loses a step, and only that, when the job is cancelled or its driver killed", async () => {
    const first = await ready("allocate", "kept");
    await first.run("build_script", "true");
    await first.cleanup();
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const next = await ready("reattach", "kept");
      const running = next.start(
        "build_script",
        next.exporting("trap 'echo told; exit 1' TERM; echo up; sleep 300 & wait"),
      );
      await running.until("up", 30);
      running.killGroup(signal);
      running.closeOutput();
      const ended = await running.done;
      if (signal === "SIGTERM") assert.equal(ended.exitCode, 2, logOf(ended));
      assert.equal((await next.cleanup()).exitCode, 0);
      assert.deepEqual(await cluster.traces(next), [], signal);
      assert.equal(cluster.ask("squeue", "--noheader", "--steps", "--format=%j").includes(`${next.id}-`), false);
      assert.equal(cluster.queue().length, 1);
    }
    const last = await ready("cancel", "kept");
    await last.run("build_script", "true");
    await last.cleanup();
    assert.deepEqual(cluster.queue(), []);
  });

  it("is given back by cleanup when the driver that was to give it back is killed", async () => {
    const first = await ready("allocate", "left");
    await first.run("build_script", "true");
    await first.cleanup();
    const last = await ready("cancel", "left");
    const running = last.start("build_script", last.exporting("echo up; sleep 300"));
    await running.until("up", 30);
    running.killGroup("SIGKILL");
    running.closeOutput();
    await running.done;
    assert.equal((await last.cleanup()).exitCode, 0);
    assert.deepEqual(cluster.queue(), []);
  });

  it("stays for others when one that waits for it is cancelled", async () => {
    const variables = { SCHEDULER_PARAMETERS: "--hold" };
    const first = await ready("allocate", "waited for", { variables });
    const taking = first.start("build_script", "echo ran");
    await taking.until("waits in the queue", 30);
    const other = await ready("reattach", "waited for");
    const waiting = other.start("build_script", "echo ran");
    await waiting.until("waits in the queue", 30);
    waiting.killGroup("SIGTERM");
    assert.equal((await waiting.done).exitCode, 2);
    assert.equal((await other.cleanup()).exitCode, 0);
    assert.equal(cluster.queue().length, 1);
    cluster.ask("scontrol", "release", cluster.ask("squeue", "--noheader", "--format=%A").trim());
    assert.equal((await taking.done).exitCode, 0);
    await first.cleanup();
    const last = await ready("cancel", "waited for");
    await last.run("build_script", "true");
    await last.cleanup();
    assert.deepEqual(cluster.queue(), []);
  });

  it("is given back at once when Slurm has taken it so late that nobody waits for it", async () => {
    const bin = join(cluster.jobs.directory, "late-bin");
    mkdirSync(bin, { mode: 0o755 });
    for (const name of ["squeue", "scontrol", "scancel", "sacct", "srun"])
      symlinkSync(`/usr/bin/${name}`, join(bin, name));
    // The answer is lost, and the job is submitted when the test says so.
    const go = join(cluster.jobs.directory, "go");
    const sbatch = `#!/bin/bash
cp "\${!#}" ${go}.job
set -- "\${@:1:$#-1}" ${go}.job
setsid sh -c 'until [ -e ${go} ]; do sleep 0.2; done; exec /usr/bin/sbatch "$@"' - "$@" >/dev/null 2>&1 &
kill -KILL $$
`;
    writeFileSync(join(bin, "sbatch"), sbatch, { mode: 0o755 });
    const variables = { SCHEDULER_PARAMETERS: "--time=5" };
    const lost = await ready("allocate", "late", { variables, batch: `scheduler_bin = ${JSON.stringify(bin)}` });
    const running = lost.start("build_script", "echo ran");
    await running.until("Looking for", 60);
    running.killGroup("SIGTERM");
    assert.equal((await running.done).exitCode, 2);
    assert.equal((await lost.cleanup()).exitCode, 0);
    writeFileSync(go, "");
    const state = () =>
      cluster.ask("squeue", "--noheader", "--states=all", "--name=jacamar-ci-shared-17-late", "--format=%T").trim();
    for (let look = 0; look < 300 && !/FAILED/.test(state()); look += 1)
      await new Promise((done) => setTimeout(done, 200));
    assert.equal(state(), "FAILED");
  });

  it("is taken back when the job that waits for it is cancelled or its driver killed", async () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const job = await ready("allocate", "held", { variables: { SCHEDULER_PARAMETERS: "--hold" } });
      const running = job.start("build_script", "echo ran");
      await running.until("waits in the queue", 30);
      running.killGroup(signal);
      running.closeOutput();
      await running.done;
      await job.cleanup();
      assert.deepEqual(cluster.queue(), [], signal);
    }
  });
});
