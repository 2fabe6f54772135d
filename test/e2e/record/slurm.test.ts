import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
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
});
