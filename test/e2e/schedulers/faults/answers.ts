import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Fault } from "../../../stand-in/scheduler/fault.ts";
import type { AnyJob } from "../../stopping/jobs.ts";
import { logOf } from "../../stopping/jobs.ts";
import type { PlayedCluster } from "../played-cluster.ts";
import type { FaultCase } from "./case.ts";

/** A scheduler that answers badly, late, or not at all: for one case at a time on a cluster. */
export const badAnswers: readonly FaultCase[] = [
  ...Object.entries({
    "fails once": { kind: "fails", times: 1 },
    "always fails": { kind: "fails" },
    "fails without a word": { kind: "fails", stderr: "", exitCode: 1 },
    "is slow": { kind: "slow", milliseconds: 3000 },
    "does not end": { kind: "hangs" },
    "prints half of its answer": { kind: "half" },
    "prints nonsense": { kind: "nonsense" },
    "prints nothing and says that all is well": { kind: "nonsense", stdout: "" },
  } satisfies Record<string, Fault>).map(([what, fault]) => badQuery(what, fault)),

  ...Object.entries({
    "accepts it and dies before it says so": { kind: "dies", times: 1 },
    "accepts it and prints half of its answer": { kind: "half", times: 1 },
  } satisfies Record<string, Fault>).map(([what, fault]) => lostSubmission(what, fault)),

  ...(["remembers", "has forgotten"] as const).map((what) => endedUnseen(what)),
  {
    title: "a job is taken back when SIGTERM comes while it is submitted",
    run: async (cluster) => {
      const job = await cluster.ready();
      const { submits } = cluster.dialect;
      cluster.standIn.fault(submits, { kind: "slow", times: 1, milliseconds: 3000 });
      const before = cluster.standIn.calls(submits);
      const running = job.start("build_script", job.exporting("sleep 300"));
      await until("it is submitted", async () => cluster.standIn.calls(submits) > before);
      running.killGroup("SIGTERM");
      const ended = await running.done;
      assert.equal(ended.exitCode, 2, logOf(ended));
      assert.equal(await submissions(cluster, job), 1);
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), []);
    },
  },
  {
    title: "a job is ended by cleanup when the runner loses its patience with a driver whose programs hang",
    run: async (cluster) => {
      const { cancels, hold } = cluster.dialect;
      // It waits, so nothing else can end it.
      const job = await cluster.ready(hold);
      const running = job.start("build_script", "echo ran");
      await running.until("waits in the queue", 60);
      cluster.standIn.fault(cancels, { kind: "hangs" });
      const before = cluster.standIn.calls(cancels);
      running.killGroup("SIGTERM");
      await until("it is to be cancelled", async () => cluster.standIn.calls(cancels) > before);
      running.killGroup("SIGKILL");
      running.closeOutput();
      await running.done;
      assert.equal((await cluster.queue()).length, 1);
      cluster.standIn.mend(cancels);
      const cleanup = await job.cleanup();
      assert.equal(cleanup.exitCode, 0, logOf(cleanup));
      assert.deepEqual(await cluster.traces(job), []);
    },
  },
  {
    title: "a job is waited for when the controller goes away and comes back while it waits",
    run: async (cluster) => {
      await cluster.standIn.set({ reason: "Maintenance" });
      const job = await cluster.ready("", { batch: "command_delay = '1s'" });
      const running = job.start("build_script", "echo ran; exit 7");
      await running.until("Maintenance", 60);
      cluster.standIn.controller.down();
      await pause(3000);
      await cluster.standIn.controller.up();
      await cluster.standIn.set({ reason: "" });
      const ended = await running.done;
      assert.equal(ended.exitCode, 1, logOf(ended));
      assert.equal(job.buildExitCode(), "7\n");
      assert.equal(await submissions(cluster, job), 1);
    },
  },
  {
    title: "the end of a job is not missed when the controller is away while it runs and ends",
    run: async (cluster) => {
      const job = await cluster.ready("", { batch: "command_delay = '1s'" });
      const running = job.start("build_script", "echo up; sleep 3; echo the end; exit 7");
      await running.until("up", 60);
      cluster.standIn.controller.down();
      const ended = await running.done;
      await cluster.standIn.controller.up();
      assertSeven(job, ended);
    },
  },
  {
    title: "the end of a job is not missed when the controller has forgotten it",
    run: async (cluster) => {
      const job = await cluster.ready("", { batch: "command_delay = '1s'" });
      const running = job.start("build_script", "echo up; sleep 4; echo the end; exit 7");
      await running.until("up", 60);
      await cluster.standIn.befall("forget", await cluster.numberOf(job));
      assertSeven(job, await running.done);
    },
  },
  {
    title: "no job is left when the controller hangs while one is to be ended",
    run: async (cluster) => {
      const job = await cluster.ready();
      const running = job.start("build_script", job.exporting("echo up; sleep 300"));
      await running.until("up", 60);
      cluster.standIn.controller.freeze();
      running.killGroup("SIGTERM");
      await pause(3000);
      cluster.standIn.controller.thaw();
      const ended = await running.done;
      assert.equal(ended.exitCode, 2, logOf(ended));
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), []);
    },
  },
];

/** A scheduler that is away for as long as the driver has patience: for one case at a time, too. */
export const longSilence: readonly FaultCase[] = [
  ...(["reaches nobody", "prints nonsense"] as const).map((what) => noSubmission(what)),
  {
    title: "a job that nobody can end keeps its files, and jacamar reap ends it when the scheduler answers again",
    // A bkill waits for ever.
    kinds: ["slurm", "flux", "pbs"],
    run: async (cluster) => {
      const { jobs, standIn } = cluster;
      const job = cluster.job();
      await job.config();
      job.loseRunner();
      assert.equal((await job.prepare()).exitCode, 0);
      const running = job.start("build_script", job.exporting("echo up; sleep 300"));
      await running.until("up", 60);
      running.killGroup("SIGKILL");
      running.closeOutput();
      await running.done;
      standIn.controller.down();
      const cleanup = await job.cleanup(200);
      assert.equal(cleanup.exitCode, 2, logOf(cleanup));
      assert.match(cleanup.stderr, /could not be ended: .* does not answer/);
      assert.match(cleanup.stdout, /its files stay in ".*\/group\/demo\/\d+"\. "jacamar reap" ends it/);
      assert.ok(existsSync(job.directoryOf("scriptsDir")));
      await standIn.controller.up();
      const configuration = join(job.directory, "jacamar.toml");
      const reap = await jobs.asUser([jobs.stage.jacamar, "reap", "--configuration", configuration, "--yes"]);
      assert.equal(reap.exitCode, 0, logOf(reap));
      assert.match(reap.stdout, new RegExp(`^Removed job ${job.id} of group/demo`, "m"));
      assert.deepEqual(await cluster.traces(job), []);
    },
  },
  lostSubmission("gives up, and the job is in the queue long after that", {
    kind: "late",
    times: 1,
    milliseconds: 15_000,
  }),
  {
    title: "a job that is taken when its CI job has been cancelled and cleaned up does nothing",
    run: async (cluster) => {
      // What a CI job leaves for people to read could be run, too.
      const job = await cluster.ready("", { general: "retain_logs = true" });
      const ran = join(cluster.jobs.directory, `ran-${job.id}`);
      const late: Fault = { kind: "late", times: 1, milliseconds: 15_000 };
      cluster.standIn.fault(cluster.dialect.submits, spoken(cluster, late));
      const running = job.start("build_script", `touch ${ran}`);
      await running.until("Looking for", 60);
      running.killGroup("SIGTERM");
      const ended = await running.done;
      assert.equal(ended.exitCode, 2, logOf(ended));
      assert.match(ended.stderr, /before .* had taken the job/);
      assert.equal((await job.cleanup()).exitCode, 0);
      await until("the job has come and gone", async () => {
        const found = (await cluster.standIn.jobs()).filter(({ name }) => name.includes(`${job.id}-`));
        return found.length > 0 && found.every(({ state }) => state === "ended");
      });
      assert.equal(existsSync(ran), false, "it ran");
    },
  },
];

function badQuery(what: string, fault: Fault): FaultCase {
  return {
    title: `no job ends because the question for its state ${what}`,
    run: async (cluster) => {
      const { asks } = cluster.dialect;
      const job = await cluster.ready("", { batch: "command_delay = '1s'" });
      cluster.standIn.fault(asks, fault);
      const before = cluster.standIn.calls(asks);
      // Silent, so that the scheduler is asked.
      const run = await job.run("build_script", "sleep 4; echo the end; exit 7", 120);
      cluster.standIn.mend(asks);
      assert.ok(cluster.standIn.calls(asks) > before, "it was asked");
      assertSeven(job, run);
      assert.equal((await job.cleanup()).exitCode, 0);
    },
  };
}

function lostSubmission(what: string, fault: Fault): FaultCase {
  return {
    title: `a job runs once when its submission ${what}`,
    run: async (cluster) => {
      const job = await cluster.ready();
      cluster.standIn.fault(cluster.dialect.submits, spoken(cluster, fault));
      const run = await job.run("build_script", "echo ran; exit 7", 120);
      assert.equal(run.exitCode, 1, logOf(run));
      assert.equal(job.buildExitCode(), "7\n");
      assert.equal(run.stdout.split(/^ran$/m).length, 2, run.stdout);
      assert.equal(await submissions(cluster, job), 1);
      assert.equal((await job.cleanup()).exitCode, 0);
    },
  };
}

/** The answer is lost, and the job is over before anybody looks for it. */
function endedUnseen(what: "remembers" | "has forgotten"): FaultCase {
  return {
    title: `a job that has ended before its submission failed runs once, when the scheduler ${what} it`,
    run: async (cluster) => {
      const job = await cluster.ready();
      cluster.standIn.fault(cluster.dialect.submits, { kind: "dies", times: 1, milliseconds: 8000 });
      const running = job.start("build_script", "echo ran; exit 7");
      await until("it has ended", async () =>
        (await cluster.standIn.jobs()).some(({ name, state }) => name.includes(`${job.id}-`) && state === "ended"),
      );
      if (what === "has forgotten") await cluster.standIn.befall("forget", await cluster.numberOf(job));
      const ended = await running.done;
      assert.equal(ended.exitCode, 1, logOf(ended));
      assert.equal(job.buildExitCode(), "7\n");
      assert.equal(ended.stdout.split(/^ran$/m).length, 2, ended.stdout);
      assert.equal(await submissions(cluster, job), 1);
      assert.equal((await job.cleanup()).exitCode, 0);
    },
  };
}

function noSubmission(what: "reaches nobody" | "prints nonsense"): FaultCase {
  return {
    title: `it is the site's failure when the submission ${what}`,
    run: async (cluster) => {
      const { submits, title } = cluster.dialect;
      const job = await cluster.ready();
      const kind = what === "reaches nobody" ? "fails" : "nonsense";
      cluster.standIn.fault(submits, spoken(cluster, { kind, times: 1 }));
      const run = await job.run("build_script", "echo ran", 200);
      assert.equal(run.exitCode, 2, logOf(run));
      assert.match(run.stderr, new RegExp(`${title} did not say whether it has taken the job`));
      assert.equal(await submissions(cluster, job), 0);
    },
  };
}

/** A bsub that cannot connect waits for ever; one whose library fails gives up. */
function spoken({ dialect }: PlayedCluster, fault: Fault): Fault {
  if (dialect.title !== "LSF" || (fault.kind !== "fails" && fault.kind !== "late")) return fault;
  const stderr = "Failed in an LSF library call: Master LIM is down; try later. Job not submitted.\n";
  return { ...fault, stderr, exitCode: 255 };
}

/** The script has said `the end`, and ended with 7. */
function assertSeven(job: AnyJob, ended: Awaited<ReturnType<AnyJob["run"]>>): void {
  assert.equal(ended.exitCode, 1, logOf(ended));
  assert.equal(job.buildExitCode(), "7\n");
  assert.match(ended.stdout, /^the end$/m);
}

async function submissions({ standIn }: PlayedCluster, job: AnyJob): Promise<number> {
  return (await standIn.jobs()).filter(({ name }) => name.includes(`${job.id}-`)).length;
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < 300; look += 1) {
    if (await isSo()) return;
    await pause(200);
  }
  assert.fail(`It did not come to pass that ${what}`);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
