import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Answer } from "./scheduler.ts";
import { slurm } from "./slurm.ts";
import { submitJob } from "./submit.ts";
import { type ScriptedCalls, scripted } from "./testing/scripted-calls.ts";

const submission = {
  name: "jacamar-ci-7-ab",
  jobFile: "/d/build.job",
  logFile: "/d/build.log",
  userArguments: ["-n1"],
};
const answer = (exitCode: number | undefined, stdout: string, stderr = ""): Answer => ({ exitCode, stdout, stderr });
const frozen = answer(1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n");
const noQueue = answer(1, "", "slurm_load_jobs error: Socket timed out on send/recv operation\n");

const submit = ({ call }: ScriptedCalls) => submitJob(submission, { scheduler: slurm, call, userName: "alice" });

describe("submitJob()", () => {
  test("has the id of a job that was accepted, by one call", async () => {
    const calls = scripted({ sbatch: answer(0, "4\n") });
    assert.equal(await submit(calls), "4");
    assert.equal(calls.made.length, 1);
  });

  test("shows a refusal in the scheduler's own words, as the job's fault, and submits no second time", async () => {
    const calls = scripted({
      sbatch: answer(
        1,
        "",
        "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed\n",
      ),
    });
    await assert.rejects(submit(calls), {
      code: "batch_refused",
      blame: "job",
      message:
        "Slurm refused the job:\nsbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed",
    });
    assert.equal(calls.made.length, 1);
  });

  for (const [what, sbatch] of [
    ["was killed after it was accepted", answer(undefined, "")],
    ["gave up while the controller was frozen", frozen],
    ["printed nothing", answer(0, "")],
  ] as const) {
    test(`finds the job by its name when the submission ${what}`, async () => {
      const calls = scripted({ sbatch, squeue: answer(0, "17\n") });
      assert.equal(await submit(calls), "17");
      assert.match(calls.made[1] ?? "", /^squeue .*--user=alice --name=jacamar-ci-7-ab /);
    });
  }

  test("finds one that the scheduler takes late, and bears with a queue that cannot be asked", async () => {
    const calls = scripted({ sbatch: frozen, squeue: [noQueue, answer(0, ""), answer(0, "17\n")] });
    assert.equal(await submit(calls), "17");
    assert.equal(calls.made.filter((line) => line.startsWith("sbatch")).length, 1);
  });

  test("blames the site when nobody knows whether there is a job, and does not submit a second one", async () => {
    for (const squeue of [noQueue, answer(0, "")]) {
      const calls = scripted({ sbatch: frozen, squeue });
      await assert.rejects(submit(calls), {
        code: "scheduler_unavailable",
        blame: "site",
        message: /did not say whether it has taken the job: .*Socket timed out/,
      });
      assert.equal(calls.made.filter((line) => line.startsWith("sbatch")).length, 1);
    }
  });
});
