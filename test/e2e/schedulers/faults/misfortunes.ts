import assert from "node:assert/strict";
import { join } from "node:path";
import type { Misfortune, StandInKind } from "../../../harness/schedulers.ts";
import { logOf } from "../../stopping/jobs.ts";
import { allKinds, type FaultCase } from "./case.ts";

/** What befalls a job that runs, on which scheduler; whom it is blamed on (1 the job, 2 the site); what the log says. */
type Verdicts = Readonly<Partial<Record<StandInKind, readonly [exitCode: number, words: RegExp]>>>;
const ends: readonly (readonly [Misfortune, Verdicts])[] = [
  ["memory", { slurm: [1, /memory limit/], pbs: [1, /memory limit/], lsf: [1, /memory limit/] }],
  ["time-limit", { slurm: [1, /time limit/], flux: [1, /time limit/], pbs: [1, /time limit/], lsf: [1, /time limit/] }],
  [
    "cancel",
    {
      slurm: [2, /cancelled|CANCELLED/],
      flux: [2, /cancelled|CANCELED/],
      // 265 is SIGKILL, for a script that does not heed SIGTERM.
      pbs: [2, /Exit_status (?:265|271)|cancelled/],
      lsf: [2, /TERM_OWNER|cancelled/],
    },
  ],
  ["node-fail", { flux: [2, /node/] }],
  ["preempt", { lsf: [2, /TERM_PREEMPT|preempted/] }],
];

/** What befalls jobs. Their scheduler works. */
export const misfortunes: readonly FaultCase[] = [
  ...ends.map(
    ([misfortune, verdicts]): FaultCase => ({
      title: `a job that does not end by itself (${misfortune}) is blamed on the right one`,
      kinds: kindsOf(verdicts),
      run: async (cluster) => {
        const [exitCode, words] = verdicts[cluster.kind] ?? [];
        assert.ok(exitCode !== undefined && words !== undefined);
        const job = await cluster.ready();
        // A script that heeds nothing: the scheduler kills it.
        const body = job.exporting("trap '' TERM HUP INT; echo up; while :; do sleep 0.2; done");
        const running = job.start("build_script", body);
        await running.until("up", 60);
        await cluster.standIn.befall(misfortune, await cluster.numberOf(job));
        const ended = await running.done;
        assert.equal(ended.exitCode, exitCode, logOf(ended));
        assert.match(logOf(ended), words);
        await job.cleanup();
        assert.deepEqual(await cluster.traces(job), []);
      },
    }),
  ),
  {
    title: "it is told when somebody takes a job back that waits",
    run: async (cluster) => {
      const job = await cluster.ready(cluster.dialect.hold);
      const running = job.start("build_script", "echo ran");
      await running.until("waits in the queue", 60);
      await cluster.standIn.befall("cancel", await cluster.numberOf(job));
      const ended = await running.done;
      assert.equal(ended.exitCode, 2, logOf(ended));
      assert.doesNotMatch(ended.stdout, /^ran$/m);
    },
  },
  {
    title: "a job that is requeued is followed on, from the beginning of its next run",
    kinds: ["slurm", "pbs"],
    run: async (cluster) => {
      const job = await cluster.ready();
      // The first run has no end of its own.
      const again = join(job.directoryOf("scriptsDir"), "again");
      const body = `echo run; if [ ! -e ${again} ]; then touch ${again}; sleep 300; fi; echo the end; exit 7`;
      const running = job.start("build_script", job.exporting(body));
      await running.until("run", 60);
      await cluster.standIn.befall("requeue", await cluster.numberOf(job));
      const ended = await running.done;
      assert.equal(ended.exitCode, 1, logOf(ended));
      assert.equal(job.buildExitCode(), "7\n");
      assert.match(ended.stdout, /requeued/);
      assert.equal(ended.stdout.split(/^the end$/m).length, 2, ended.stdout);
      await job.cleanup();
      assert.deepEqual(await cluster.traces(job), []);
    },
  },
];

function kindsOf(verdicts: Verdicts): readonly StandInKind[] {
  return allKinds.filter((kind) => verdicts[kind] !== undefined);
}
