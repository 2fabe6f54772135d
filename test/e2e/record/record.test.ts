import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { decodeLine } from "../../../src/record/decode.ts";
import type { JobLine, RecordLine, StageLine } from "../../../src/record/line.ts";
import { Jobs, logOf } from "../stopping/jobs.ts";

let jobs: Jobs;
let directory: string;
before(() => {
  jobs = new Jobs("record");
  directory = mkdtempSync("/var/tmp/jacamar-e2e-records-");
  jobs.give(directory);
});
after(async () => {
  await jobs.close();
  rmSync(directory, { recursive: true, force: true });
});

function linesOf(path: string): RecordLine[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const decoded = decodeLine(line);
      assert.ok(decoded, line);
      return decoded;
    });
}

function record(location: string, more = ""): string {
  return `[record]\nlocation = ${JSON.stringify(location)}\n${more}\n`;
}

describe("the record of a job", () => {
  it("has a line for each stage and one for the job", async () => {
    const path = join(directory, "host.jsonl");
    const job = jobs.job({ podman: record(path) });
    await job.ready();
    assert.equal((await job.run("get_sources", "true")).exitCode, 0);
    assert.equal((await job.run("build_script", "sleep 0.3; exit 7")).exitCode, 1);
    assert.equal((await job.run("after_script", "true")).exitCode, 0);
    await job.cleanup();
    const lines = linesOf(path);
    assert.deepEqual(
      lines.map((line) => [line.kind, line.stage, line.outcome, line.exit_code]),
      [
        ["stage", "config", "passed", undefined],
        ["stage", "prepare", "passed", undefined],
        ["stage", "get_sources", "passed", 0],
        ["stage", "build_script", "failed", 7],
        ["stage", "after_script", "passed", 0],
        ["stage", "cleanup", "passed", undefined],
        ["job", "build_script", "failed", 7],
      ],
    );
    const whole = lines.at(-1);
    assert.ok(whole?.kind === "job");
    assert.equal(whole.error, "script_failed");
    assert.deepEqual(
      [whole.job, whole.project, whole.project_full_path, whole.pipeline_id, whole.account, whole.executor],
      [job.id, 17, "group/demo", 900, jobs.user.name, "shell"],
    );
    const script = whole.stages[3]?.steps.find(({ name }) => name === "script");
    assert.ok(script && script.seconds >= 0.3 && script.seconds <= whole.seconds, JSON.stringify(script));
    assert.ok(whole.script_seconds >= 0.3);
    assert.ok(!readFileSync(path, "utf8").includes(job.token));
    assert.equal(lstatSync(path).mode & 0o777, 0o640);
  });

  it("tells of a container: image, digest, whether it was there, and how long it took to start", async () => {
    const path = join(directory, "container.jsonl");
    const image = "localhost/jacamar-demo:latest";
    const job = jobs.job({ image, podman: record(path) });
    await job.whole("sleep 0.2");
    const lines = linesOf(path);
    const prepare = lines.find((line): line is StageLine => line.stage === "prepare");
    assert.ok(prepare);
    assert.deepEqual([prepare.mechanism, prepare.image, prepare.cache], ["podman", image, "hit"]);
    assert.match(prepare.image_id ?? "", /^[0-9a-f]{64}$/);
    assert.ok((prepare.image_bytes ?? 0) > 1_000_000);
    assert.deepEqual(
      // Whether an image has a shell is tried once for all jobs of a user.
      prepare.steps.map(({ name }) => name).filter((name) => name !== "trial"),
      ["directories", "login", "pull"],
    );
    const script = lines.find((line): line is StageLine => line.kind === "stage" && line.stage === "build_script");
    assert.deepEqual(
      script?.steps.map(({ name }) => name),
      ["container", "script", "end"],
    );
    const seconds = Object.fromEntries(script?.steps.map((step) => [step.name, step.seconds]) ?? []);
    assert.ok((seconds["script"] ?? 0) >= 0.2 && (seconds["container"] ?? 0) > 0, JSON.stringify(seconds));
    assert.match(job.summary, /^container [0-9.]+s, script [0-9.]+s$/);
    const whole = lines.at(-1);
    assert.ok(whole?.kind === "job");
    assert.deepEqual([whole.cache, whole.image, whole.outcome], ["hit", image, "passed"]);
  });

  it("goes into a file of each user's own", async () => {
    for (const location of ["$HOME/.jacamar-e2e-record/of/home.jsonl", "$DATA_DIR/record/data.jsonl"]) {
      const path = location.replace("$HOME", jobs.user.home).replace("$DATA_DIR", jobs.dataDir);
      const job = jobs.job({ podman: record(location) });
      await job.whole("true");
      assert.equal(linesOf(path).length, 5, location);
      rmSync(join(path, "..", ".."), { recursive: true, force: true });
    }
    rmSync(join(jobs.user.home, ".jacamar-e2e-record"), { recursive: true, force: true });
  });

  it("is rotated, and loses no line when jobs write at once", async () => {
    const own = join(directory, "rotated");
    mkdirSync(own);
    jobs.give(own);
    const path = join(own, "jobs.jsonl");
    const settings = record(path, 'max_size = "2KiB"\nkeep = 1000');
    const many = Array.from({ length: 6 }, (_, slot) => jobs.job({ podman: settings, slot: slot + 1 }));
    await Promise.all(many.map((job) => job.whole("true")));
    const files = readdirSync(own).filter((name) => name.startsWith("jobs.jsonl"));
    assert.ok(files.length > 3, files.join(" "));
    const lines = files.flatMap((name) => linesOf(join(own, name)));
    const summed = lines.filter((line): line is JobLine => line.kind === "job");
    assert.equal(lines.length, 6 * 5);
    assert.deepEqual(new Set(summed.map(({ job }) => job)), new Set(many.map(({ id }) => id)));
    // Over however many files the job's stages went.
    for (const job of summed) assert.equal(job.stages.length, 4);
    assert.ok(!readdirSync(own).some((name) => name.endsWith(".rotating")));
  });

  it("is counted for Prometheus", async () => {
    const own = join(directory, "metrics");
    mkdirSync(own);
    jobs.give(own);
    const metrics = join(own, "jacamar.prom");
    const settings = record(join(own, "jobs.jsonl"), `prometheus_file = ${JSON.stringify(metrics)}`);
    const many = Array.from({ length: 4 }, (_, slot) => jobs.job({ podman: settings, slot: slot + 1 }));
    await Promise.all(many.map((job, n) => job.whole(n === 0 ? "exit 3" : "true")));
    const text = readFileSync(metrics, "utf8");
    assert.match(text, /^jacamar_jobs_total\{outcome="passed",error="",executor="shell"\} 3$/m);
    assert.match(text, /^jacamar_jobs_total\{outcome="failed",error="script_failed",executor="shell"\} 1$/m);
    assert.match(text, /^jacamar_overhead_seconds_count\{executor="shell"\} 4$/m);
  });

  it("that cannot be written is told, and fails no job", async () => {
    const job = jobs.job({ podman: record(join(directory, "missing/jobs.jsonl")) });
    const { config, prepare, run, cleanup } = await job.whole("echo fine");
    assert.deepEqual(
      [config, prepare, run, cleanup].map(({ exitCode }) => exitCode),
      [0, 0, 0, 0],
    );
    assert.match(prepare.stdout, /^WARNING: The record of this job cannot be written: the directory ".*" is missing$/m);
    assert.equal(run.stdout, "fine\n");
    assert.match(cleanup.stderr, /WARNING: The record/);
  });

  it("is not made unless the configuration asks for it, and then nothing of it is read", async () => {
    const job = jobs.job();
    await job.ready();
    const traced = join(jobs.directory, "opened");
    const running = job.start("build_script", "true", ["strace", "-f", "-e", "trace=openat", "-o", traced]);
    assert.equal((await running.done).exitCode, 0);
    await job.cleanup();
    assert.ok(existsSync(traced));
    assert.ok(!readFileSync(traced, "utf8").includes("jacamar-record"), "the record was loaded");
  });
});

describe("the last line of a script", () => {
  it("tells what it took, on a line of its own", async () => {
    const job = jobs.job();
    await job.ready();
    const run = await job.run("build_script", "printf 'no line end'");
    assert.equal(run.stdout, "no line end\n");
    assert.match(job.summary, /^(?:login [0-9.]+s, )?script [0-9.]+s$/);
    job.summary = "";
    await job.run("after_script", "true");
    assert.equal(job.summary, "", logOf(run));
    await job.cleanup();
  });

  it("has the memory of a container that has a control group of its own", async () => {
    const groups = join(jobs.directory, "cgroup");
    mkdirSync(groups, { recursive: true });
    for (const [name, text] of [
      ["memory.peak", "1395864371\n"],
      ["memory.max", "2147483648\n"],
      ["cgroup.procs", "1\n17\n"],
    ] as const) {
      jobs.write(`cgroup/${name}`, text, 0o644);
    }
    jobs.give(groups);
    // This kernel may have no cgroups v2: the files are put where they would be.
    const podman = `custom_options = ["--volume=${groups}:/sys/fs/cgroup:ro"]`;
    const job = jobs.job({ image: "localhost/jacamar-demo:latest", podman });
    await job.ready();
    await job.run("build_script", "true");
    assert.match(job.summary, /, 1\.3 GB peak memory \(of 2 GB\)$/);
    // A process that the container does not see is in the same group.
    jobs.write("cgroup/cgroup.procs", "0\n1\n", 0o644);
    await job.run("build_script", "true");
    assert.match(job.summary, /script [0-9.]+s$/);
    await job.cleanup();
  });
});
