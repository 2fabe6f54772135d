import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Misfortune, StandInKind } from "../harness/schedulers.ts";
import { PlayedCluster } from "../e2e/schedulers/played-cluster.ts";
import { logOf } from "../e2e/stopping/jobs.ts";

/** What befalls a job that runs, whom it is blamed on (1 the job, 2 the site), and what the log says. */
const misfortunes: Readonly<Record<StandInKind, readonly (readonly [Misfortune, number, RegExp])[]>> = {
  slurm: [
    ["memory", 1, /memory limit/],
    ["time-limit", 1, /time limit/],
    ["cancel", 2, /cancelled|CANCELLED/],
  ],
  flux: [
    ["time-limit", 1, /time limit/],
    ["cancel", 2, /cancelled|CANCELED/],
    ["node-fail", 2, /node/],
  ],
  pbs: [
    ["memory", 1, /memory limit/],
    ["time-limit", 1, /time limit/],
    // 265 is SIGKILL, for a script that does not heed SIGTERM.
    ["cancel", 2, /Exit_status (?:265|271)|cancelled/],
  ],
  lsf: [
    ["memory", 1, /memory limit/],
    ["time-limit", 1, /time limit/],
    ["cancel", 2, /TERM_OWNER|cancelled/],
    ["preempt", 2, /TERM_PREEMPT|preempted/],
  ],
};

describe("what is told of a job that does not end by itself", { concurrency: 2 }, () => {
  for (const kind of ["slurm", "flux", "pbs", "lsf"] as const) {
    describe(`a misfortune of a job of ${kind}`, () => {
      let cluster: PlayedCluster;
      before(async () => {
        cluster = await PlayedCluster.open(kind, "misfortunes");
      });
      after(() => cluster.close());

      for (const [misfortune, exitCode, words] of misfortunes[kind]) {
        it(`is told and blamed on the right one: ${misfortune}`, async () => {
          const job = await cluster.ready();
          // A script that heeds nothing: the scheduler kills it.
          const body = job.exporting("trap '' TERM HUP INT; echo up; while :; do sleep 0.2; done");
          const running = job.start("build_script", body);
          await running.until("up", 30);
          await cluster.standIn.befall(misfortune, await cluster.numberOf(job));
          const ended = await running.done;
          assert.equal(ended.exitCode, exitCode, logOf(ended));
          assert.match(logOf(ended), words);
          await job.cleanup();
          assert.deepEqual(await cluster.traces(job), []);
        });
      }

      it("is told when somebody takes a job back that waits", async () => {
        const job = await cluster.ready(cluster.dialect.hold);
        const running = job.start("build_script", "echo ran");
        await running.until("waits in the queue", 30);
        await cluster.standIn.befall("cancel", await cluster.numberOf(job));
        const ended = await running.done;
        assert.equal(ended.exitCode, 2, logOf(ended));
        assert.doesNotMatch(ended.stdout, /^ran$/m);
      });
    });
  }
});

for (const kind of ["slurm", "pbs"] as const) {
  describe(`a job of ${kind} that is requeued`, () => {
    let cluster: PlayedCluster;
    before(async () => {
      cluster = await PlayedCluster.open(kind, "requeue");
    });
    after(() => cluster.close());

    it("is followed on, from the beginning of its next run", async () => {
      const job = await cluster.ready();
      const running = job.start("build_script", job.exporting("echo run; sleep 3; echo the end; exit 7"));
      await running.until("run", 30);
      await cluster.standIn.befall("requeue", await cluster.numberOf(job));
      const ended = await running.done;
      assert.equal(ended.exitCode, 1, logOf(ended));
      assert.equal(job.buildExitCode(), "7\n");
      assert.match(ended.stdout, /requeued/);
      assert.equal(ended.stdout.split(/^the end$/m).length, 2, ended.stdout);
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), []);
    });
  });
}
