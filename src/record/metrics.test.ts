import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { JobLine } from "./line.ts";
import { countInFile } from "./metrics-file.ts";
import { countJob, exposition, noMetrics, packMetrics, unpackMetrics } from "./metrics.ts";

const job: JobLine = {
  schema: 1,
  kind: "job",
  key: "7-aaaaaaaaaaaa",
  time: "2026-11-24T12:00:00.000Z",
  seconds: 20,
  outcome: "passed",
  executor: "slurm",
  queue_seconds: 30,
  script_seconds: 5.5,
  overhead_seconds: 1.25,
  step_seconds: {},
  cache: "hit",
  stages: [],
};

describe("exposition()", () => {
  const failed: JobLine = {
    ...job,
    outcome: "error",
    error: "image_pull_failed",
    queue_seconds: 90_000,
    cache: "pulled",
  };
  const text = exposition([job, job, failed].reduce(countJob, noMetrics));

  test("counts by outcome, error code and executor", () => {
    assert.match(text, /^# TYPE jacamar_jobs_total counter$/m);
    assert.match(text, /^jacamar_jobs_total\{outcome="passed",error="",executor="slurm"\} 2$/m);
    assert.match(text, /^jacamar_jobs_total\{outcome="error",error="image_pull_failed",executor="slurm"\} 1$/m);
    assert.match(text, /^jacamar_image_provisions_total\{cache="hit"\} 2$/m);
    assert.match(text, /^jacamar_script_seconds_total\{executor="slurm"\} 16\.5$/m);
  });

  test("has cumulative histograms, whose last bucket holds everything", () => {
    assert.match(text, /^jacamar_queue_seconds_bucket\{executor="slurm",le="15"\} 0$/m);
    assert.match(text, /^jacamar_queue_seconds_bucket\{executor="slurm",le="30"\} 2$/m);
    assert.match(text, /^jacamar_queue_seconds_bucket\{executor="slurm",le="86400"\} 2$/m);
    assert.match(text, /^jacamar_queue_seconds_bucket\{executor="slurm",le="\+Inf"\} 3$/m);
    assert.match(text, /^jacamar_queue_seconds_sum\{executor="slurm"\} 90060$/m);
    assert.match(text, /^jacamar_overhead_seconds_count\{executor="slurm"\} 3$/m);
  });

  test("is well formed, whatever a line of the record says", () => {
    const odd = { ...job, executor: 'x"} 1\nevil{a="', error: "nonsense\n", outcome: "failed" } as const;
    const lines = exposition(countJob(noMetrics, odd)).trimEnd().split("\n");
    for (const line of lines) {
      assert.match(line, /^(?:# (?:HELP|TYPE) jacamar_\w+ .+|jacamar_\w+\{(?:\w+="[^"\\]*",?)+\} [0-9.e+-]+)$/);
    }
    assert.ok(lines.some((line) => line.includes('error="other"')));
  });
});

describe("unpackMetrics()", () => {
  test("gives back what was packed, and nothing of anything else", () => {
    const metrics = countJob(noMetrics, job);
    assert.deepEqual(unpackMetrics(packMetrics(metrics)), metrics);
    for (const bad of ["", "[]", "{}", '{"version":2,"counters":{},"histograms":{}}']) {
      assert.equal(unpackMetrics(bad), undefined);
    }
    const odd = {
      version: 1,
      counters: { evil: 1, 'jacamar_jobs_total{a="b"}': "2" },
      histograms: { "jacamar_queue_seconds{}": 1 },
    };
    assert.deepEqual(unpackMetrics(JSON.stringify(odd)), noMetrics);
  });
});

describe("countInFile()", () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "jacamar-metrics-")));
  after(() => rmSync(root, { recursive: true, force: true }));
  // The directory above may belong to anybody who set TMPDIR; ours does not.
  chmodSync(root, 0o755);

  test("counts on from what was there, readable by all, and leaves no other file", () => {
    const directory = join(root, "one");
    mkdirSync(directory);
    const file = join(directory, "jacamar.prom");
    const kept = join(directory, "jobs.jsonl.metrics");
    countInFile(file, kept, job);
    countInFile(file, kept, job);
    assert.match(readFileSync(file, "utf8"), /^jacamar_jobs_total\{.*\} 2$/m);
    assert.equal(statSync(file).mode & 0o777, 0o644);
    assert.equal(statSync(kept).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(directory).toSorted(), ["jacamar.prom", "jobs.jsonl.metrics"]);
  });

  test("replaces a planted link, and begins anew where what was kept is damaged", () => {
    const directory = join(root, "two");
    mkdirSync(directory);
    const victim = join(directory, "victim");
    writeFileSync(victim, "untouched");
    const file = join(directory, "jacamar.prom");
    symlinkSync(victim, file);
    symlinkSync(victim, join(directory, `.jacamar.prom.${process.pid}`));
    writeFileSync(join(directory, "kept"), "{damaged");
    countInFile(file, join(directory, "kept"), job);
    assert.equal(readFileSync(victim, "utf8"), "untouched");
    assert.match(readFileSync(file, "utf8"), /^jacamar_jobs_total\{.*\} 1$/m);
  });
});
