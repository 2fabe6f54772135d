import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { version } from "../version.ts";
import { type DecisionEntry, encodeEntry, levelOf, longestLine, newEntryId } from "./entry.ts";

const time = new Date("2026-11-24T03:49:35.962Z");
const refused: DecisionEntry = {
  kind: "refused",
  id: "5f0c2a9be114",
  message: "Refused to run the job",
  time,
  instance: "cluster-a",
  stage: "config",
  jobId: "4711",
  projectId: 42,
  projectPath: "group/project",
  pipelineId: 815,
  runnerShortToken: "abcdef123",
  gitlabUser: "alice",
  gitlabUserId: 7,
  account: "alice",
  reasons: ["the account is in user_blocklist", "the shell is not in shell_allowlist"],
};
const defect = { kind: "defect", id: "1", message: "A defect", time, stack: "Error: x\n    at y" } as const;

const keys = new Set(
  `time level msg id error decision reasons job project project_full_path pipeline_id gitlab_user gitlab_user_id account
  runner instance stage version`.split(/\s+/),
);

function parsed(line: string): Record<string, unknown> {
  const value: unknown = JSON.parse(line);
  assert.ok(typeof value === "object" && value !== null);
  return { ...value };
}

describe("encodeEntry()", () => {
  test("names and types the keys as GitLab Runner's own log does", () => {
    assert.deepEqual(parsed(encodeEntry(refused)), {
      time: "2026-11-24T03:49:35.962Z",
      level: "warning",
      msg: "Refused to run the job",
      id: "5f0c2a9be114",
      decision: "refused",
      reasons: ["the account is in user_blocklist", "the shell is not in shell_allowlist"],
      job: 4711,
      project: 42,
      project_full_path: "group/project",
      pipeline_id: 815,
      gitlab_user: "alice",
      gitlab_user_id: 7,
      account: "alice",
      runner: "abcdef123",
      instance: "cluster-a",
      stage: "config",
      version,
    });
    assert.deepEqual(parsed(encodeEntry({ ...refused, kind: "allowed" }))["level"], "info");
    assert.deepEqual(parsed(encodeEntry(defect)), {
      time: "2026-11-24T03:49:35.962Z",
      level: "error",
      msg: "A defect",
      id: "1",
      error: "Error: x\n    at y",
      version,
    });
  });

  test("writes no key that it does not know", () => {
    const more = { ...refused, token: "secret", variables: { A: "secret" } };
    assert.ok(!encodeEntry(more).includes("secret"));
  });

  test("is one short line of printable ASCII, whatever is in the entry", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 3000 }),
      fc.constantFrom("\n", "\u2028", "\u009b31m", "\u202e", "\ud800", "é".repeat(9000), "\u0000".repeat(9000)),
      fc.constant('\\"'.repeat(9000)),
    );
    const texts = fc.record({ id: text, message: text, instance: text, stage: text, jobId: text, projectPath: text });
    const names = fc.record({ runnerShortToken: text, gitlabUser: text, account: text });
    const numbers = fc.record({ projectId: fc.maxSafeInteger(), pipelineId: fc.double(), gitlabUserId: fc.double() });
    const decision = fc.record({ kind: fc.constantFrom("allowed", "refused"), reasons: fc.array(text) });
    const mistake = fc.record({ kind: fc.constant("defect"), stack: text });
    fc.assert(
      fc.property(texts, names, numbers, fc.oneof(decision, mistake), (a, b, c, rest) => {
        const line = encodeEntry({ time, ...a, ...b, ...c, ...rest });
        assert.match(line, /^[ -~]+$/);
        assert.ok(line.length <= longestLine, `${line.length}`);
        for (const key of Object.keys(parsed(line))) assert.ok(keys.has(key), key);
      }),
      { numRuns: 300 },
    );
  });

  test("stays below the limit when every value is as long as it can be", () => {
    for (const unit of ["a", "\n", "\u0000", "é", "😀", '"']) {
      const long = unit.repeat(20_000);
      const texts = { id: long, message: long, instance: long, stage: long, jobId: long, projectPath: long };
      const names = { runnerShortToken: long, gitlabUser: long, account: long };
      const numbers = { projectId: -Number.MAX_VALUE, pipelineId: -Number.MAX_VALUE, gitlabUserId: -Number.MAX_VALUE };
      const most = { time, ...texts, ...names, ...numbers };
      const reasons = Array.from({ length: 1000 }, () => long);
      for (const line of [
        encodeEntry({ ...most, kind: "refused", reasons }),
        encodeEntry({ ...most, kind: "refused", reasons: Array.from({ length: 1000 }, () => "x") }),
        encodeEntry({ ...most, kind: "defect", stack: long }),
      ]) {
        assert.ok(line.length <= longestLine && parsed(line)["msg"] !== "", `${line.length}`);
      }
    }
  });

  test("says that a value was cut, and how many reasons are missing", () => {
    const account = parsed(encodeEntry({ ...refused, account: "b".repeat(131) }))["account"];
    assert.equal(account, `${"b".repeat(127)}...`);
    assert.equal(parsed(encodeEntry({ ...refused, account: "b".repeat(130) }))["account"], "b".repeat(130));
    const many = parsed(encodeEntry({ ...refused, reasons: Array.from({ length: 50 }, (_, i) => `reason ${i}`) }));
    assert.ok(Array.isArray(many["reasons"]));
    assert.equal(many["reasons"].length, 41);
    assert.equal(many["reasons"].at(-2), "reason 39");
    assert.equal(many["reasons"].at(-1), "10 more");
  });

  test("keeps forty reasons of ordinary length", () => {
    const reasons = Array.from({ length: 40 }, (_, i) => `reason ${i} ${"x".repeat(100)}`);
    assert.deepEqual(parsed(encodeEntry({ ...refused, reasons }))["reasons"], reasons);
  });

  test("never writes a whole runner token for a short one", () => {
    const line = encodeEntry({ ...refused, runnerShortToken: "glrt-t1_0123456789abcdefghij" });
    assert.ok(!line.includes("0123456789abcdef"));
  });

  for (const [name, secret] of [
    ["an ID token", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"],
    ["the start of a token", "eyJhbGciOiJSUzI1NiJ9"],
    ["a job token", "glcbt-64_x0123456789abcdefghij"],
    ["a job token that is a JSON Web Token", "glcbt-eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"],
    ["a personal token", "glpat-x0123456789abcdefghi"],
    ["a runner token", "glrt-t1_x0123456789abcdefgh"],
    ["the user and password of a URL", "gitlab-ci-token:hunter2hunter2@"],
  ] as const) {
    test(`masks ${name} that got into a text by mistake`, () => {
      const text = `before https://${secret}after.example/x after`;
      const lines = [
        encodeEntry({ ...refused, message: text }),
        encodeEntry({ ...refused, reasons: ["fine", text] }),
        encodeEntry({ ...defect, stack: text }),
      ];
      for (const line of lines) {
        assert.ok(!line.includes(secret.slice(0, 14)), line);
        assert.match(line, /before https:\/\/\[MASKED\]/);
      }
    });
  }

  test("masks hostile texts in no time", () => {
    for (const text of ["eyJ".repeat(9000), "glrt-".repeat(9000), "://".repeat(9000), "://a".repeat(9000)]) {
      const before = process.cpuUsage();
      encodeEntry({ ...defect, stack: text });
      assert.ok(process.cpuUsage(before).user < 500_000, "half a second of its own");
    }
  });

  test("keeps a job number that is none as text", () => {
    assert.equal(parsed(encodeEntry({ ...refused, jobId: "1e3" }))["job"], "1e3");
    assert.equal(parsed(encodeEntry({ ...refused, jobId: undefined }))["job"], undefined);
  });
});

describe("levelOf()", () => {
  test("is info for allowed, warn for refused, error for a defect", () => {
    assert.deepEqual(
      [levelOf({ ...refused, kind: "allowed" }), levelOf(refused), levelOf(defect)],
      ["info", "warn", "error"],
    );
  });
});

describe("newEntryId()", () => {
  test("gives other hexadecimal digits each time", () => {
    const ids = new Set(Array.from({ length: 1000 }, newEntryId));
    assert.equal(ids.size, 1000);
    for (const id of ids) assert.match(id, /^[0-9a-f]{12}$/);
  });
});
