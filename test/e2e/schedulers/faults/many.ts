import assert from "node:assert/strict";
import type { AnyJob } from "../../stopping/jobs.ts";
import { logOf } from "../../stopping/jobs.ts";
import type { FaultCase } from "./case.ts";

/** How many stages that do not wait run at a time: more would only make them slow. */
const preparedAtOnce = 8;
const quietMilliseconds = 20_000;
/** In that time, with the delay that the jobs have; for all of them together. */
const questionsAtMost = 6;

/** Many jobs of one user: they wait together, are asked for together, and each ends by itself. */
export function manyJobs(count: number): FaultCase {
  return {
    title: `${count} jobs of one user each end with their own code, and are asked for together while they wait`,
    run: async (cluster) => {
      const { standIn, dialect } = cluster;
      await standIn.set({ reason: "Maintenance", slots: 8 });
      const jobs = Array.from({ length: count }, (_, slot) => cluster.job({ slot, batch: "command_delay = '10s'" }));
      await prepareAll(jobs);
      const running = jobs.map((job, index) => job.start("build_script", `echo ran ${index}; exit ${index}`));
      await Promise.all(running.map((each) => each.until("Maintenance", 200)));

      const asked = standIn.calls(dialect.asks);
      await new Promise((resolve) => setTimeout(resolve, quietMilliseconds));
      const questions = standIn.calls(dialect.asks) - asked;
      assert.ok(questions <= questionsAtMost, `${questions} questions for ${count} jobs`);

      await standIn.set({ reason: "" });
      const ended = await Promise.all(running.map((each) => each.done));
      ended.forEach((each, index) => {
        assert.match(each.stdout, new RegExp(`^ran ${index}$`, "m"), logOf(each));
        assert.equal(each.exitCode, index === 0 ? 0 : 1, logOf(each));
        if (index > 0) assert.equal(jobs[index]?.buildExitCode(), `${index}\n`);
      });
      assert.deepEqual(await cluster.queue(), []);
      assert.equal((await standIn.jobs()).length, count);
    },
  };
}

async function prepareAll(jobs: readonly AnyJob[]): Promise<void> {
  const left = [...jobs];
  const worker = async () => {
    for (let job = left.shift(); job !== undefined; job = left.shift()) await job.ready();
  };
  await Promise.all(Array.from({ length: preparedAtOnce }, worker));
}
