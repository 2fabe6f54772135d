import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { StandInKind } from "../harness/schedulers.ts";
import type { Fault } from "../stand-in/scheduler/fault.ts";
import { dialects, PlayedCluster } from "../e2e/schedulers/played-cluster.ts";
import { logOf } from "../e2e/stopping/jobs.ts";

const kinds: readonly StandInKind[] = ["slurm", "flux", "pbs", "lsf"];

/** A bsub that cannot connect waits for ever; one whose library fails does not. */
const lsfIsDown = {
  stderr: "Failed in an LSF library call: Master LIM is down; try later. Job not submitted.\n",
  exitCode: 255,
} as const;

/** Answers to the question for a job's state that are none. */
const queries: Readonly<Record<string, Fault>> = {
  "fails once": { kind: "fails", times: 1 },
  "always fails": { kind: "fails" },
  "fails without a word": { kind: "fails", stderr: "", exitCode: 1 },
  "is slow": { kind: "slow", milliseconds: 3000 },
  "does not end": { kind: "hangs" },
  "prints half of its answer": { kind: "half" },
  "prints nonsense": { kind: "nonsense" },
  "prints nothing and says that all is well": { kind: "nonsense", stdout: "" },
};

describe("what no answer of a scheduler may do to a job", { concurrency: 2 }, () => {
  for (const kind of kinds) {
    // A fault is for one test at a time.
    describe(`a scheduler that answers badly, ${kind}`, { concurrency: 1 }, () => {
      let cluster: PlayedCluster;
      before(async () => {
        cluster = await PlayedCluster.open(kind, "answers");
      });
      after(() => cluster.close());
      const { asks, submits, title } = dialects[kind];

      async function submissions(id: number): Promise<number> {
        return (await cluster.standIn.jobs()).filter(({ name }) => name.includes(`${id}-`)).length;
      }

      for (const [what, fault] of Object.entries(queries)) {
        it(`ends no job when its question for the state ${what}`, async () => {
          const job = await cluster.ready("", { batch: "command_delay = '1s'" });
          cluster.standIn.fault(asks, fault);
          const before = cluster.standIn.calls(asks);
          // Silent, so that the scheduler is asked.
          const run = await job.run("build_script", "sleep 4; echo the end; exit 7");
          cluster.standIn.mend(asks);
          assert.ok(cluster.standIn.calls(asks) > before, "it was asked");
          assert.equal(run.exitCode, 1, logOf(run));
          assert.equal(job.buildExitCode(), "7\n");
          assert.match(run.stdout, /^the end$/m);
          assert.equal((await job.cleanup()).exitCode, 0);
        });
      }

      for (const [what, fault] of Object.entries({
        "accepts it and dies before it says so": { kind: "dies", times: 1 },
        "accepts it and prints half of its answer": { kind: "half", times: 1 },
      } satisfies Record<string, Fault>)) {
        it(`runs a job once when the submission ${what}`, async () => {
          const job = await cluster.ready();
          cluster.standIn.fault(submits, fault);
          const run = await job.run("build_script", "echo ran; exit 7");
          assert.equal(run.exitCode, 1, logOf(run));
          assert.equal(job.buildExitCode(), "7\n");
          assert.equal(run.stdout.split(/^ran$/m).length, 2, run.stdout);
          assert.equal(await submissions(job.id), 1);
          assert.equal((await job.cleanup()).exitCode, 0);
        });
      }

      for (const [what, fault] of Object.entries({
        "reaches nobody": { kind: "fails", times: 1, ...(kind === "lsf" ? lsfIsDown : {}) },
        "prints nonsense": { kind: "nonsense", times: 1 },
      } satisfies Record<string, Fault>)) {
        it(`is the site's failure when the submission ${what}`, async () => {
          const job = await cluster.ready();
          cluster.standIn.fault(submits, fault);
          const run = await job.run("build_script", "echo ran");
          assert.equal(run.exitCode, 2, logOf(run));
          assert.match(run.stderr, new RegExp(`${title} did not say whether it has taken the job`));
          assert.equal(await submissions(job.id), 0);
        });
      }

      it("is waited for when its controller goes away and comes back while a job waits", async () => {
        await cluster.standIn.set({ reason: "Maintenance" });
        const job = await cluster.ready("", { batch: "command_delay = '1s'" });
        const running = job.start("build_script", "echo ran; exit 7");
        await running.until("Maintenance", 30);
        cluster.standIn.controller.down();
        await pause(3000);
        await cluster.standIn.controller.up();
        await cluster.standIn.set({ reason: "" });
        const ended = await running.done;
        assert.equal(ended.exitCode, 1, logOf(ended));
        assert.equal(job.buildExitCode(), "7\n");
        assert.equal(await submissions(job.id), 1);
      });

      it("is not missed when its controller is away while a job runs and ends", async () => {
        const job = await cluster.ready("", { batch: "command_delay = '1s'" });
        const running = job.start("build_script", "echo up; sleep 3; echo the end; exit 7");
        await running.until("up", 30);
        cluster.standIn.controller.down();
        const ended = await running.done;
        await cluster.standIn.controller.up();
        assert.equal(ended.exitCode, 1, logOf(ended));
        assert.equal(job.buildExitCode(), "7\n");
        assert.match(ended.stdout, /^the end$/m);
      });

      it("is not missed when it forgets a job that runs", async () => {
        const job = await cluster.ready("", { batch: "command_delay = '1s'" });
        const running = job.start("build_script", "echo up; sleep 4; echo the end; exit 7");
        await running.until("up", 30);
        await cluster.standIn.befall("forget", await cluster.numberOf(job));
        const ended = await running.done;
        assert.equal(ended.exitCode, 1, logOf(ended));
        assert.equal(job.buildExitCode(), "7\n");
        assert.match(ended.stdout, /^the end$/m);
      });

      it("leaves no job when it hangs while a job is to be ended", async () => {
        const job = await cluster.ready();
        const running = job.start("build_script", job.exporting("echo up; sleep 300"));
        await running.until("up", 30);
        cluster.standIn.controller.freeze();
        running.killGroup("SIGTERM");
        await pause(3000);
        cluster.standIn.controller.thaw();
        const ended = await running.done;
        assert.equal(ended.exitCode, 2, logOf(ended));
        await job.cleanup();
        assert.deepEqual(await cluster.traces(job), []);
      });
    });
  }
});

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
