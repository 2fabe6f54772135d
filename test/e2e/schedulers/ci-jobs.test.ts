import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { StandInKind } from "../../harness/schedulers.ts";
import { logOf } from "../stopping/jobs.ts";
import { PlayedCluster } from "./played-cluster.ts";

const demo = "localhost/jacamar-demo";
const kinds: readonly StandInKind[] = ["slurm", "flux", "pbs", "lsf"];

// For every scheduler, as it is played.
describe("what a real Slurm shows in test/e2e/batch/", { concurrency: 4 }, () => {
  for (const kind of kinds) {
    describe(`a CI job with the executor ${kind}`, { concurrency: 1 }, () => {
      let cluster: PlayedCluster;
      before(async () => {
        cluster = await PlayedCluster.open(kind, "ci-jobs");
      });
      after(() => cluster.close());

      for (const [place, wanted] of [
        ["on the node", {}],
        ["in a container", { image: demo }],
      ] as const) {
        it(`runs its script ${place}, and ends with its exit code`, async () => {
          const { dialect } = cluster;
          const job = await cluster.ready("", wanted);
          const body = `echo "in \${${dialect.variable}:+a job}"; echo err >&2; printf 'no end'; exit 7`;
          const run = await job.run("build_script", body);
          assert.equal(run.exitCode, 1, logOf(run));
          assert.equal(job.buildExitCode(), "7\n");
          assert.match(run.stdout, new RegExp(`Submitted as ${dialect.title} job \\S+ \\(jacamar-ci-`));
          assert.match(run.stdout, /has started on \S+ after \d+s in the queue\n/);
          assert.match(run.stdout, /\nin a job\nerr\nno end$/);
          assert.equal((await job.cleanup()).exitCode, 0);
          assert.deepEqual(await cluster.traces(job), []);
        });

        it(`is ended on SIGTERM, ${place}, and its last words are shown`, async () => {
          const job = await cluster.ready("", wanted);
          const body = "trap 'echo told; exit 9' TERM; echo up; sleep 300 & wait";
          const running = job.start("build_script", job.exporting(body));
          await running.until("up", 40);
          running.killGroup("SIGTERM");
          const ended = await running.done;
          assert.equal(ended.exitCode, 2, logOf(ended));
          assert.equal(ended.stdout.split("told").length, 2, ended.stdout);
          assert.equal((await job.cleanup()).exitCode, 0);
          assert.deepEqual(await cluster.traces(job), []);
        });

        it(`is found and ended by cleanup, ${place}, when the driver was killed`, async () => {
          const job = await cluster.ready("", wanted);
          const running = job.start("build_script", job.exporting("echo up; sleep 300"));
          await running.until("up", 40);
          running.killGroup("SIGKILL");
          running.closeOutput();
          await running.done;
          const cleanup = await job.cleanup();
          assert.equal(cleanup.exitCode, 0, logOf(cleanup));
          assert.deepEqual(await cluster.traces(job), []);
        });
      }

      it("says why it waits, and is taken back on SIGTERM", async () => {
        const job = await cluster.ready(cluster.dialect.hold);
        const running = job.start("build_script", "echo ran");
        await running.until("waits in the queue: ", 30);
        running.killGroup("SIGTERM");
        const ended = await running.done;
        assert.equal(ended.exitCode, 2, logOf(ended));
        assert.doesNotMatch(ended.stdout, /^ran$/m);
        assert.deepEqual(await cluster.queue(), []);
      });

      it("shows the scheduler's own words when it is refused, and is not retried", async () => {
        const job = await cluster.ready(cluster.dialect.nowhere);
        const run = await job.run("build_script", "echo ran");
        assert.equal(run.exitCode, 1, logOf(run));
        assert.match(run.stderr, new RegExp(`${cluster.dialect.title} refused the job`));
        assert.match(run.stderr, /queue|partition/i);
      });

      it("is refused an argument that is the driver's own, before anything is submitted", async () => {
        const before = cluster.standIn.calls(cluster.dialect.submits);
        const job = await cluster.ready(cluster.dialect.own);
        const run = await job.run("build_script", "echo ran");
        assert.equal(run.exitCode, 1, logOf(run));
        assert.match(run.stderr, /SCHEDULER_PARAMETERS holds .*, which is .*, which the runner sets itself/);
        assert.equal(cluster.standIn.calls(cluster.dialect.submits), before);
      });

      it("is told to have hit its time limit", async () => {
        await cluster.standIn.set({ minuteMilliseconds: 2000 });
        const job = await cluster.ready(cluster.dialect.oneMinute);
        const run = await job.run("build_script", "echo up; sleep 300");
        await cluster.standIn.set({ minuteMilliseconds: 60_000 });
        assert.equal(run.exitCode, 1, logOf(run));
        assert.match(logOf(run), /time limit/);
      });

      it("is told when the scheduler loses it", async () => {
        const job = await cluster.ready();
        const running = job.start("build_script", job.exporting("echo up; sleep 300"));
        await running.until("up", 40);
        await cluster.standIn.befall("node-fail", await cluster.numberOf(job));
        if (kind === "slurm" || kind === "pbs") {
          // Slurm and PBS let it run again.
          await running.until("requeued", 30);
          running.killGroup("SIGTERM");
        }
        const ended = await running.done;
        assert.equal(ended.exitCode, 2, logOf(ended));
        await job.cleanup();
        assert.deepEqual(await cluster.traces(job), []);
      });

      it("asks the scheduler seldom", async () => {
        const { standIn, dialect } = cluster;
        const asked = standIn.calls(dialect.asks);
        const submitted = standIn.calls(dialect.submits);
        const job = await cluster.ready("", { batch: "command_delay = '30s'" });
        const run = await job.run("build_script", "for i in 1 2 3 4 5 6; do echo $i; sleep 1; done");
        assert.equal(run.exitCode, 0, logOf(run));
        assert.equal(standIn.calls(dialect.submits) - submitted, 1);
        assert.ok(standIn.calls(dialect.asks) - asked <= 1, `asked ${standIn.calls(dialect.asks) - asked} times`);
      });
    });
  }
});

for (const kind of ["slurm", "flux"] as const) {
  describe(`an allocation of ${kind} that CI jobs share`, () => {
    let cluster: PlayedCluster;
    before(async () => {
      cluster = await PlayedCluster.open(kind, "allocation");
    });
    after(() => cluster.close());

    it("is taken by one job, used by others, and given back by a last one", async () => {
      const act = (action: string) => ({ JACAMAR_SCHEDULER_ACTION: action, JACAMAR_SCHEDULER_JOB_KEY: "mine" });
      const first = await cluster.ready("", { variables: act("allocate") });
      const taken = await first.run("build_script", "echo first; exit 3");
      assert.equal(taken.exitCode, 1, logOf(taken));
      assert.equal(first.buildExitCode(), "3\n");
      await first.cleanup();
      assert.equal((await cluster.queue()).length, 1);

      const next = await cluster.ready("", { variables: act("reattach") });
      const run = await next.run("build_script", "echo next");
      assert.equal(run.exitCode, 0, logOf(run));
      assert.match(run.stdout, /^next$/m);
      await next.cleanup();

      const stopped = await cluster.ready("", { variables: act("reattach") });
      const body = "trap 'echo told; exit 1' TERM; echo up; sleep 300 & wait";
      const running = stopped.start("build_script", stopped.exporting(body));
      await running.until("up", 40);
      running.killGroup("SIGTERM");
      const ended = await running.done;
      assert.equal(ended.exitCode, 2, logOf(ended));
      await stopped.cleanup();
      assert.deepEqual(await cluster.traces(stopped), []);
      assert.equal((await cluster.queue()).length, 1);

      const last = await cluster.ready("", { variables: act("cancel") });
      const given = await last.run("build_script", "true");
      assert.equal(given.exitCode, 0, logOf(given));
      await last.cleanup();
      assert.deepEqual(await cluster.queue(), []);
    });
  });
}
