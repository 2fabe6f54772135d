import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { slurmMissing } from "../../harness/slurm.ts";
import { type Contender, contenders } from "./contender.ts";

/**
 * A real Slurm and its stand-in get the same commands one after the other, and must print the same words with the same exit codes, but for
 * times and the node's name. What the stand-in does not do is not asked here.
 */
describe("the stand-in for Slurm", { skip: slurmMissing() }, () => {
  let real: Contender;
  let standIn: Contender;
  before(async () => {
    real = await opened(contenders["real Slurm"]);
    standIn = await opened(contenders["the stand-in for Slurm"]);
    await Promise.all([real, standIn].map(prepare));
  });
  after(() => Promise.all([real.close(), standIn.close()]));

  const queue = ["squeue", "--noheader", "--states=all", "--format=%i|%A|%T|%t|%r|%j|%u|%P|%D"] as const;
  const table: [what: string, argv: readonly [string, ...string[]]][] = [
    ["an unknown option", ["sbatch", "--bogus", "fails"]],
    ["an unknown letter", ["sbatch", "-~", "fails"]],
    ["an unknown partition", ["sbatch", "-p", "nope", "fails"]],
    ["a time that is none", ["sbatch", "-t", "abc", "fails"]],
    ["an unknown feature", ["sbatch", "-C", "nope", "fails"]],
    ["an unknown node", ["sbatch", "-w", "nope", "fails"]],
    ["an unknown reservation", ["sbatch", "--reservation=nope", "fails"]],
    ["too many GPUs", ["sbatch", "--gres=gpu:9", "fails"]],
    ["a file that is not there", ["sbatch", "nope"]],
    ["a file that is no script", ["sbatch", "plain"]],
    ["a file of another system", ["sbatch", "dos"]],
    ["an unknown job", ["squeue", "--noheader", "--states=all", "--jobs=99999"]],
    ["several unknown jobs", ["squeue", "--noheader", "--states=all", "--jobs=99999,99998"]],
    ["a job that is none", ["squeue", "--noheader", "--jobs=abc"]],
    ["no such name", ["squeue", "--noheader", "--name=nope"]],
    ["the record of an unknown job", ["scontrol", "show", "job", "--oneliner", "99999"]],
    ["the records of several", ["scontrol", "show", "job", "--oneliner", "1,2"]],
    ["the accounting", ["sacct", "--jobs=1"]],
    ["the end of an unknown job", ["scancel", "99999"]],
    ["the end of a job that is none", ["scancel", "abc"]],
    ["the end of no such name", ["scancel", "--name=nope"]],
    ["a step in an unknown job", ["srun", "--jobid=99999", "--overlap", "true"]],
    ["what refused jobs leave", [...queue]],
    ["a job, plainly", ["sbatch", "--output=/dev/null", "--job-name=one", "fails"]],
    ["a job, for programs", ["sbatch", "--parsable", "--output=/dev/null", "--job-name=two", "--hold", "fails"]],
    ["a job for nobody's time", ["sbatch", "--parsable", "--output=/dev/null", "-p", "closed", "fails"]],
    ["more nodes than there are", ["sbatch", "--parsable", "--output=/dev/null", "-N", "5", "fails"]],
    ["more tasks than there can be", ["sbatch", "--parsable", "--output=/dev/null", "-n", "99", "fails"]],
    ["more time than there is", ["sbatch", "--parsable", "--output=/dev/null", "-p", "short", "-t", "10", "fails"]],
    ["a wait for a failure", ["sbatch", "--wait", "--output=/dev/null", "fails"]],
    ["the abbreviation of an option", ["sbatch", "--pars", "--out=/dev/null", "--hol", "fails"]],
    ["letters of options in one word", ["sbatch", "-Ho", "/dev/null", "fails"]],
    ["the job that failed", [...queue, "--jobs=5"]],
    ["several, with an unknown one", [...queue, "--jobs=5,6,99999"]],
    ["those of a name", [...queue, "--name=two"]],
    ["the end of one that waits", ["scancel", "6"]],
    ["how that is told", [...queue, "--jobs=6"]],
    ["the end of one that has ended", ["scancel", "5"]],
    ["those that wait", ["squeue", "--noheader", "--states=PENDING", "--format=%i %T %r", "--sort=i"]],
    ["an allocation", ["salloc", "--no-shell", "--job-name=shared"]],
    ["a step", ["srun", "--jobid=14", "--overlap", "bash", "-c", "echo out; echo err >&2; sleep 0.3; exit 5"]],
    ["a step's surroundings", ["srun", "--jobid=14", "--overlap", "bash", "-c", "echo $SLURM_JOB_ID"]],
    ["the end of an allocation", ["scancel", "14"]],
  ];

  test("says what Slurm says", async (context) => {
    for (const [what, argv] of table) {
      await context.test(what, async () => {
        const [truth, play] = await Promise.all([real, standIn].map((each) => each.run(argv)));
        assert.ok(truth && play);
        assert.deepEqual(wordsOf(play), wordsOf(truth), argv.join(" "));
      });
    }
  });

  test("keeps the record that Slurm keeps, as far as it is read", async () => {
    const [truth, play] = await Promise.all(
      [real, standIn].map((each) => each.run(["scontrol", "--oneliner", "show", "job", "5"])),
    );
    assert.ok(truth && play);
    for (const field of ["JobId", "JobName", "JobState", "Reason", "Restarts", "ExitCode", "Partition", "StdIn"]) {
      const value = (text: string) => new RegExp(`(?:^|\\s)${field}=(\\S+)`).exec(text)?.[1];
      assert.equal(value(play.stdout), value(truth.stdout), field);
    }
  });
});

function opened(contender: (typeof contenders)[string] | undefined): Promise<Contender> {
  if (contender === undefined) throw new TypeError("there is no such scheduler");
  return contender.open();
}

async function prepare(contender: Contender): Promise<void> {
  const script = `printf '#!/bin/bash\\nexit 7\\n' >fails; echo words >plain; printf '#!/bin/bash\\r\\n' >dos`;
  // Not a program of the scheduler.
  const written = await contender.run(["sbatch", "--wait", "--output=/dev/null", "--wrap", script]);
  assert.equal(written.exitCode, 0, written.stderr);
}

/** How long it takes to be granted an allocation is neither's promise. */
const waiting = /^salloc: (?:Pending job|job \d+ (?:queued|has been)) .*\n/gm;

function wordsOf(ended: { exitCode: number | undefined; stdout: string; stderr: string }) {
  return {
    exitCode: ended.exitCode,
    stdout: ended.stdout,
    stderr: ended.stderr.replaceAll(/\bjacamar-test-[\d-]+\b|\bnode1\b/g, "NODE").replaceAll(waiting, ""),
  };
}
