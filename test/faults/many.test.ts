import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PlayedCluster } from "../e2e/schedulers/played-cluster.ts";
import { logOf } from "../e2e/stopping/jobs.ts";

const count = 100;

describe("a hundred jobs of one user at once", () => {
  let cluster: PlayedCluster;
  before(async () => {
    cluster = await PlayedCluster.open("slurm", "many");
  });
  after(() => cluster.close());

  it("each end with their own code, and are asked for together while they wait", { timeout: 280_000 }, async () => {
    const { standIn } = cluster;
    const job = (slot: number) => cluster.job({ slot, batch: "command_delay = '10s'" });
    const jobs = Array.from({ length: count }, (_, slot) => job(slot));
    for (const each of jobs) await each.ready();

    await standIn.set({ reason: "Maintenance" });
    const running = jobs.map((each, index) => each.start("build_script", `echo ran ${index}; exit ${index}`));
    await Promise.all(running.map((each) => each.until("Maintenance", 200)));
    const asked = standIn.calls("squeue");
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    const calls = standIn.calls("squeue") - asked;
    assert.ok(calls <= 6, `${calls} questions in twenty seconds for ${count} jobs`);

    await standIn.set({ reason: "", slots: 8 });
    const ended = await Promise.all(running.map((each) => each.done));
    ended.forEach((each, index) => {
      assert.match(each.stdout, new RegExp(`^ran ${index}$`, "m"), logOf(each));
      assert.equal(each.exitCode, index === 0 ? 0 : 1, logOf(each));
      if (index > 0) assert.equal(jobs[index]?.buildExitCode(), `${index}\n`);
    });
    assert.deepEqual(await cluster.queue(), []);
    assert.equal((await standIn.jobs()).length, count);
  });
});
