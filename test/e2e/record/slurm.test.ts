import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { decodeLine } from "../../../src/record/decode.ts";
import type { RecordLine } from "../../../src/record/line.ts";
import { slurmMissing } from "../../harness/slurm.ts";
import { Cluster, logOf, slurmIdIn } from "../batch/cluster.ts";

describe("the record of a job of Slurm", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  let directory: string;
  before(() => {
    cluster = new Cluster("record");
    directory = mkdtempSync("/var/tmp/jacamar-e2e-slurm-record-");
    cluster.jobs.give(directory);
  });
  after(async () => {
    await cluster.close();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const [where, image, steps] of [
    ["on the node", undefined, ["queue", "script"]],
    ["in a container on the node", "localhost/jacamar-demo", ["queue", "container", "script", "end"]],
  ] as const) {
    it(`tells its number, its node, and how long it waited: ${where}`, async () => {
      const path = join(directory, `${steps.length}.jsonl`);
      const batch = `[record]\nlocation = ${JSON.stringify(path)}`;
      const job = cluster.job({ batch, ...(image === undefined ? {} : { image }) });
      await job.ready();
      const run = await job.run("build_script", "sleep 0.5");
      assert.equal(run.exitCode, 0, logOf(run));
      assert.match(job.summary, /^queued [0-9hms.]+, (?:container [0-9.]+s, )?script [0-9.]+s/);
      await job.cleanup();
      const lines = readFileSync(path, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => decodeLine(line))
        .filter((line): line is RecordLine => line !== undefined);
      const script = lines.find((line) => line.kind === "stage" && line.stage === "build_script");
      assert.ok(script?.kind === "stage");
      assert.deepEqual([script.executor, script.scheduler_id], ["slurm", slurmIdIn(run.stdout)]);
      assert.match(script.node ?? "", /^\S+$/);
      assert.deepEqual(
        script.steps.map(({ name }) => name),
        steps,
      );
      const ran = script.steps.find(({ name }) => name === "script")?.seconds ?? 0;
      assert.ok(ran >= 0.4 && ran <= script.seconds, String(ran));
      const whole = lines.at(-1);
      assert.ok(whole?.kind === "job");
      assert.equal(whole.queue_seconds, script.queue_seconds);
      assert.ok(whole.overhead_seconds < whole.seconds - ran);
    });
  }

  const counts = existsSync("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  it("tells the memory of its own control group", { skip: !counts && "Slurm makes none here" }, async () => {
    const job = cluster.job({ variables: { SCHEDULER_PARAMETERS: "--mem=512M" } });
    await job.ready();
    const run = await job.run("build_script", "head -c 150M /dev/zero | tail -c 150M | wc -c");
    assert.equal(run.exitCode, 0, logOf(run));
    const megabytes = Number(/, (\d+) MB peak memory \(of 512 MB\)$/.exec(job.summary.trim())?.[1]);
    assert.ok(megabytes >= 150 && megabytes < 400, job.summary);
  });

  it("tells no memory where Slurm makes no control group", async () => {
    const without = new Cluster("no-groups", ["TaskPlugin=task/none"]);
    try {
      const job = without.job();
      await job.ready();
      const run = await job.run("build_script", "true");
      assert.equal(run.exitCode, 0, logOf(run));
      assert.match(job.summary.trim(), /^queued [0-9hms.]+, script [0-9.]+s$/);
    } finally {
      await without.close();
    }
  });
});
