import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { inSeconds, limited } from "./call-limit.ts";
import { cancelAndVerify } from "./cancel.ts";
import type { BatchTools } from "./following.ts";
import type { Answer, CallLimit, CallScheduler } from "./scheduler.ts";
import { slurm } from "./slurm.ts";
import { endStep } from "./step.ts";
import { submitJob } from "./submit.ts";
import { hanging } from "./testing/hanging-calls.ts";
import { PlayedTime } from "./testing/played-time.ts";
import { toId } from "./testing/recorded.ts";

const name = "jacamar-ci-7-ab";
const fine: Answer = { exitCode: 0, stdout: "", stderr: "" };

let time: PlayedTime;
let stop: AbortController;
beforeEach(() => {
  time = new PlayedTime();
  stop = new AbortController();
});
afterEach(() => time.end());

describe("limited()", () => {
  let given: CallLimit[];
  const call: CallScheduler = (_, limit = {}) => {
    given.push(limit);
    return Promise.resolve(fine);
  };
  beforeEach(() => {
    given = [];
  });

  test("gives a call the shortest of all times", async () => {
    const outer = limited(call, { deadlineMilliseconds: inSeconds(20), callSeconds: 15 });
    await outer(["x"]);
    await outer(["x"], { seconds: 3 });
    await limited(outer, { deadlineMilliseconds: inSeconds(2) })(["x"]);
    assert.deepEqual(given, [{ seconds: 15 }, { seconds: 3 }, { seconds: 2 }]);
  });

  test("starts nothing after the deadline, or the stop", async () => {
    const late = await limited(call, { deadlineMilliseconds: inSeconds(0) })(["x"]);
    stop.abort();
    const stopped = await limited(call, { stop: stop.signal })(["x"]);
    assert.deepEqual([late.exitCode, stopped.exitCode, given.length], [undefined, undefined, 0]);
  });

  test("hands every stop on", async () => {
    const inner = new AbortController();
    await limited(limited(call, { stop: stop.signal }), { stop: inner.signal })(["x"]);
    inner.abort();
    assert.equal(given[0]?.stop?.aborted, true);
  });
});

describe("when all programs of the scheduler hang", () => {
  const submission = { name, jobFile: "/d/job", logFile: "/d/log", userArguments: [] };
  const tools = (call: CallScheduler) => ({ scheduler: slurm, call, userName: "alice", stop: stop.signal });
  const submit = (call: CallScheduler) => submitJob(submission, { ...tools(call), say: () => undefined });

  test("a job is not ended in 90 seconds, and was tried to be more than once", async () => {
    const { call, made } = hanging();
    const work = cancelAndVerify({ ...tools(call), ids: [toId("4")], name }, () => undefined);
    await assert.rejects(time.passUntil(work), { code: "batch_left", message: /does not answer/ });
    assert.ok(time.now <= 91_000, String(time.now));
    assert.ok(made.filter((line) => line.startsWith("squeue")).length > 1, made.join());
  });

  test("so does a step in 60", async () => {
    const { call } = hanging({ squeue: { ...fine, stdout: `40.1|${name}\n40.2|${name}\n` } });
    const { steps } = slurm;
    assert.ok(steps);
    const work = endStep({ steps, name }, tools(call) satisfies Partial<BatchTools>, () => undefined);
    await assert.rejects(time.passUntil(work), { code: "batch_left" });
    assert.ok(time.now <= 61_000, String(time.now));
  });

  test("a submission is given up after a minute and five more", async () => {
    const { call } = hanging();
    await assert.rejects(time.passUntil(submit(call)), { code: "scheduler_unavailable" });
    assert.ok(time.now <= 362_000, String(time.now));
  });

  test("one that is to end is cut off soon, and so is the last look for it", async () => {
    const { call, made } = hanging();
    await assert.rejects(
      time.passUntil(submit(call), () => stop.abort()),
      { code: "batch_left" },
    );
    assert.equal(made.length, 2);
    assert.ok(time.now <= 42_000, String(time.now));
  });

  test("so is a look that has begun", async () => {
    const { call } = hanging({ sbatch: { exitCode: undefined, stdout: "", stderr: "" } });
    const stopAt = () => {
      if (time.now === 20_000) stop.abort();
    };
    await assert.rejects(time.passUntil(submit(call), stopAt), { code: "batch_left" });
    assert.ok(time.now <= 51_000, String(time.now));
  });
});
