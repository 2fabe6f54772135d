import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { JacamarError } from "../error/error.ts";
import { parseJob } from "../gitlab/job.ts";
import { type EndedStage, jobLine, stageLine, told, type Whose } from "./compose.ts";
import { decodeLine } from "./decode.ts";
import { encodeJob, encodeStage, longestJobLine, longestStageLine } from "./encode.ts";
import type { StageLine } from "./line.ts";

const key = "4711-0123456789ab";
const job = parseJob(
  JSON.stringify({
    id: 4711,
    token: "glcbt-64_secret",
    job_info: { name: "unit", project_id: 17, pipeline_id: 900, project_full_path: "group/demo" },
    git_info: { repo_url: "https://gitlab.example.com/group/demo.git" },
  }),
);
const whose: Whose = {
  job,
  key,
  account: "alice",
  runnerShortToken: "abcdef123",
  instance: "cluster-a",
  executor: "shell",
};

function ended(stage: string, options: Partial<EndedStage> & { readonly at?: number } = {}): EndedStage {
  const { at = 0, ...rest } = options;
  return {
    stage,
    startedAt: new Date(Date.UTC(2026, 10, 24, 3, 0, 0) + at * 1000),
    seconds: 1,
    error: undefined,
    defectId: () => "00000000d1d1",
    steps: [],
    facts: {},
    ...rest,
  };
}

function line(stage: string, options: Partial<EndedStage> & { readonly at?: number } = {}): StageLine {
  const made = stageLine(whose, ended(stage, options));
  assert.ok(made);
  return made;
}

describe("stageLine()", () => {
  test("has all that is known, under the names of the system log", () => {
    const made = line("prepare", {
      seconds: 2.5,
      steps: [{ name: "pull", atSeconds: 0.25, seconds: 2 }],
      facts: { mechanism: "podman", image: "debian:12", imageCache: "pulled", imageBytes: 48, imageDigest: "sha256:d" },
    });
    const { host, version, ...rest } = made;
    assert.ok(host !== undefined && version !== undefined);
    assert.deepEqual(rest, {
      schema: 1,
      kind: "stage",
      key,
      time: "2026-11-24T03:00:00.000Z",
      stage: "prepare",
      seconds: 2.5,
      outcome: "passed",
      steps: [{ name: "pull", at: 0.25, seconds: 2 }],
      mechanism: "podman",
      image: "debian:12",
      cache: "pulled",
      image_bytes: 48,
      digest: "sha256:d",
      job: 4711,
      job_name: "unit",
      project: 17,
      project_full_path: "group/demo",
      pipeline_id: 900,
      account: "alice",
      runner: "abcdef123",
      instance: "cluster-a",
      executor: "shell",
    });
  });

  for (const [error, expected] of [
    [new JacamarError("script_failed", "The script ended with exit code 3"), { outcome: "failed", blame: "job" }],
    [new JacamarError("image_pull_failed", "no"), { outcome: "error", blame: "site" }],
    [new JacamarError("interrupted", "ended"), { outcome: "stopped", blame: "site" }],
    [new JacamarError("job_refused", "no", { id: "5f0c2a9be114" }), { outcome: "failed", id: "5f0c2a9be114" }],
    [new TypeError("secret in a stack"), { outcome: "error", blame: "driver", error: "internal", id: "00000000d1d1" }],
  ] as const) {
    test(`tells ${error.message} as ${expected.outcome}`, () => {
      const made: Readonly<Record<string, unknown>> = { ...line("build_script", { error }) };
      for (const [name, value] of Object.entries(expected)) assert.equal(made[name], value);
      assert.doesNotMatch(JSON.stringify(made), /secret in a stack/);
    });
  }

  test("makes the key that the config stage hands on, and none of an unknown job", () => {
    assert.match(stageLine({ ...whose, key: undefined }, ended("config"))?.key ?? "", /^4711-[0-9a-f]{12}$/);
    assert.equal(stageLine({ ...whose, key: undefined, job: undefined }, ended("config")), undefined);
    assert.equal(stageLine({ ...whose, job: undefined }, ended("cleanup"))?.job, 4711);
  });
});

describe("jobLine()", () => {
  const steps = [{ name: "script", atSeconds: 0.1, seconds: 0.6 }] as const;

  test("sums up the stages", () => {
    const stages = [
      line("config"),
      line("prepare", { at: 2, seconds: 3, facts: { imageCache: "hit", image: "a", mechanism: "podman" } }),
      line("build_script", {
        at: 6,
        seconds: 10,
        steps: [
          { name: "queue", atSeconds: 0, seconds: 4 },
          { name: "script", atSeconds: 4, seconds: 5 },
        ],
        facts: { queueSeconds: 4, peakMemoryBytes: 100, schedulerId: "77", exitCode: 0 },
      }),
      line("after_script", { at: 17, seconds: 1, steps }),
      line("cleanup", { at: 20, seconds: 2 }),
    ];
    const made = jobLine(stages);
    assert.ok(made);
    assert.equal(made.outcome, "passed");
    assert.equal(made.seconds, 22);
    assert.equal(made.queue_seconds, 4);
    assert.ok(Math.abs(made.script_seconds - 5.6) < 1e-9);
    assert.equal(made.step_seconds.queue, 4);
    assert.ok(Math.abs(made.overhead_seconds - (17 - 5.6 - 4)) < 1e-9);
    assert.deepEqual(
      [made.cache, made.image, made.scheduler_id, made.peak_memory_bytes, made.exit_code, made.account],
      ["hit", "a", "77", 100, 0, "alice"],
    );
    assert.deepEqual(
      made.stages.map(({ stage, at }) => [stage, at]),
      [
        ["config", 0],
        ["prepare", 2],
        ["build_script", 6],
        ["after_script", 17],
        ["cleanup", 20],
      ],
    );
  });

  const failure = new JacamarError("script_failed", "The script ended with exit code 3");
  test("fails with the first stage that failed", () => {
    const made = jobLine([
      line("config"),
      line("build_script", { error: failure, facts: { exitCode: 3 } }),
      line("upload_artifacts_on_failure", { error: new JacamarError("disk_full", "full") }),
    ]);
    assert.deepEqual(
      [made?.outcome, made?.stage, made?.error, made?.exit_code],
      ["failed", "build_script", "script_failed", 3],
    );
  });

  test("passes where what failed has no consequence for the runner, or passed at a later attempt", () => {
    assert.equal(jobLine([line("build_script"), line("after_script", { error: failure })])?.outcome, "passed");
    assert.equal(jobLine([line("get_sources", { error: failure }), line("get_sources")])?.outcome, "passed");
    assert.equal(jobLine([line("get_sources"), line("get_sources", { error: failure })])?.outcome, "failed");
  });
});

describe("told()", () => {
  test("believes how it ended and what was found, and nothing of whose it was", () => {
    const ours = line("build_script", { seconds: 9 });
    const theirs = {
      ...line("x", { facts: { exitCode: 3 } }),
      account: "root",
      job: 1,
      key: "1-000000000000",
      host: "h",
    };
    const joined = told(theirs, ours);
    assert.deepEqual(
      [joined.account, joined.job, joined.key, joined.stage, joined.seconds, joined.exit_code, joined.host],
      ["alice", 4711, key, "build_script", 9, 3, ours.host],
    );
  });

  test("believes no step and no wait that took longer than the stage", () => {
    const steps = [{ name: "script", atSeconds: 1, seconds: 9e15 }] as const;
    const theirs = line("build_script", { steps, facts: { queueSeconds: 9e15 } });
    const joined = told(theirs, line("build_script", { seconds: 9 }));
    assert.deepEqual([joined.steps, joined.queue_seconds], [[{ name: "script", at: 1, seconds: 9 }], 9]);
    assert.equal(jobLine([joined])?.script_seconds, 9);
  });
});

const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 3000 }),
  fc.constantFrom(
    "\n",
    "\u2028",
    '"}\n{"schema":1,"kind":"job"',
    "</script>",
    "\ud800",
    "é".repeat(9000),
    "\0".repeat(9000),
  ),
);
const text = fc.option(hostile, { nil: undefined });
const amount = fc.option(fc.double({ min: 0, max: 1e12, noNaN: true }), { nil: undefined });

describe("encodeStage() and decodeLine()", () => {
  test("are one short line of printable ASCII, whatever is in it, and give back what was meant", () => {
    const any = fc.record({ stage: hostile, image: text, message: text, job_name: text, project_full_path: text });
    const more = fc.record({ account: text, runner: text, instance: text, host: text, digest: text, queue: amount });
    fc.assert(
      fc.property(any, more, (a, b) => {
        const { queue, ...names } = b;
        const given = { ...line("x"), ...a, ...names, ...(queue === undefined ? {} : { queue_seconds: queue }) };
        // @ts-expect-error -- absent and undefined are the same for the encoder
        const encoded = encodeStage(given);
        assert.match(encoded, /^[ -~]+$/);
        assert.ok(encoded.length <= longestStageLine, `${encoded.length}`);
        assert.ok(encoded.startsWith(`{"schema":1,"kind":"stage","key":"${key}"`));
        if (a.stage !== "") assert.equal(decodeLine(encoded)?.key, key);
      }),
      { numRuns: 200 },
    );
  });

  test("give back an ordinary line as it was", () => {
    const given = line("prepare", {
      error: new JacamarError("image_pull_failed", "Cannot pull"),
      steps: [{ name: "login", atSeconds: 0.5, seconds: 0.25 }],
      facts: { image: "a", imageId: "b", queueSeconds: 1.5, exitCode: 2, peakMemoryBytes: 7, memoryLimitBytes: 8 },
    });
    assert.deepEqual(decodeLine(encodeStage(given)), given);
    const whole = jobLine([line("config"), given]);
    assert.ok(whole);
    assert.deepEqual(decodeLine(encodeJob(whole)), whole);
  });

  test("stay below the limit when every value is as long as it can be", () => {
    for (const unit of ["a", "\n", "\0", "é", "😀", '"']) {
      const long = unit.repeat(9000);
      const names = { stage: long, message: long, image: long, image_id: long, digest: long, scheduler_id: long };
      const whose = {
        node: long,
        job_name: long,
        project_full_path: long,
        account: long,
        runner: long,
        instance: long,
      };
      const numbers = { job: "9".repeat(19), project: 2 ** 53, pipeline_id: 2 ** 53, image_bytes: 2 ** 53 };
      const steps = Array.from({ length: 30 }, () => ({
        name: "directories" as const,
        at: 123_456.789,
        seconds: 123_456.789,
      }));
      const error = {
        error: "registry_auth_invalid",
        blame: "driver",
        id: long,
        outcome: "stopped",
        exit_code: 255,
      } as const;
      const most = { ...line("x"), ...names, ...whose, ...numbers, ...error, steps, host: long, mechanism: "podman" };
      assert.ok(encodeStage(most).length <= longestStageLine, `${encodeStage(most).length}`);
    }
  });

  test("keep a job of very many stages within its line, and say how many are missing", () => {
    const many = jobLine(
      Array.from({ length: 300 }, (_, n) =>
        line(`step_${n}_${"x".repeat(200)}`, { steps: [{ name: "script", atSeconds: 1, seconds: 2 }] }),
      ),
    );
    assert.ok(many);
    const encoded = encodeJob(many);
    assert.ok(encoded.length <= longestJobLine);
    const decoded = decodeLine(encoded);
    assert.ok(decoded?.kind === "job");
    assert.equal(decoded.stages.length + (decoded.stages_left_out ?? 0), 300);
  });

  test("mask what looks like a token in a message or an image name", () => {
    const secret = "glcbt-64_xabcdefghijabcdefghij";
    const encoded = encodeStage({
      ...line("x"),
      message: `Cannot pull ${secret}`,
      image: `https://user:${secret}@x/y`,
    });
    assert.ok(!encoded.includes("abcdefghij"), encoded);
  });
});

describe("decodeLine()", () => {
  test("takes nothing that is no line, and no value of another type", () => {
    const good: Readonly<Record<string, unknown>> = { ...line("x") };
    for (const bad of [
      "",
      "null",
      "[]",
      "{}",
      "x".repeat(100),
      JSON.stringify({ ...good, schema: 0 }),
      JSON.stringify({ ...good, seconds: "1" }),
      JSON.stringify({ ...good, seconds: -1 }),
      JSON.stringify({ ...good, outcome: "fine" }),
      JSON.stringify({ ...good, time: "soon" }),
      JSON.stringify({ ...good, kind: "note" }),
      JSON.stringify({ ...good, key: 7 }),
      JSON.stringify({ ...good, filler: "x".repeat(70_000) }),
    ]) {
      assert.equal(decodeLine(bad), undefined, bad.slice(0, 80));
    }
    const odd = decodeLine(
      JSON.stringify({
        ...good,
        image: 7,
        queue_seconds: "1",
        project: "x",
        steps: [null, { name: "x", at: 1, seconds: 1 }],
      }),
    );
    assert.ok(odd?.kind === "stage");
    assert.deepEqual([odd.image, odd.queue_seconds, odd.project, odd.steps], [undefined, undefined, undefined, []]);
  });

  test("passes over keys of a later version", () => {
    assert.equal(decodeLine(JSON.stringify({ ...line("x"), schema: 2, later: true }))?.schema, 2);
  });
});
