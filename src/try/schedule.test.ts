import assert from "node:assert/strict";
import test from "node:test";
import { readPipeline } from "./pipeline.ts";
import { artifactSources, decide, type JobState, selectJobs } from "./schedule.ts";

const pipeline = readPipeline({
  file: "f",
  readLocal: () => undefined,
  text: `
stages: [a, b, c]
a1: {stage: a, script: [x], artifacts: {paths: [x]}}
a2: {stage: a, script: [x]}
b1: {stage: b, script: [x], artifacts: {paths: [x]}}
b2: {stage: b, script: [x], needs: [a1]}
ask: {stage: b, script: [x], when: manual}
must: {stage: b, script: [x], when: manual, allow_failure: false}
c1: {stage: c, script: [x]}
c2: {stage: c, script: [x], dependencies: [a1]}
rescue: {stage: c, script: [x], when: on_failure}
always: {stage: c, script: [x], when: always}
early: {stage: c, script: [x], needs: []}
after-ask: {stage: c, script: [x], needs: [ask]}
`,
});

function decision(name: string, states: Readonly<Record<string, JobState>>, isNamed = false): string {
  const job = pipeline.jobs.find((one) => one.name === name);
  assert.ok(job !== undefined);
  const all = new Map<string, JobState>(Object.entries(states));
  return decide(job, pipeline, all, isNamed).action;
}

test("decide() waits for earlier stages, or only for the needed jobs", () => {
  assert.equal(decision("b1", { a1: "success", a2: "running" }), "wait");
  assert.equal(decision("b2", { a1: "success", a2: "running" }), "run");
  assert.equal(decision("early", { a1: "waiting" }), "run");
});

test("decide() runs and skips by `when`", () => {
  assert.equal(decision("c1", { a1: "success", b1: "warned", ask: "manual" }), "run");
  assert.equal(decision("c1", { a1: "success", b1: "failed" }), "skip");
  assert.equal(decision("rescue", { a1: "success", b1: "failed" }), "run");
  assert.equal(decision("rescue", { a1: "success", b1: "warned" }), "skip");
  assert.equal(decision("always", { a1: "failed", b1: "skipped" }), "run");
});

test("decide() lets a manual job hold up what comes after it only when it must not fail", () => {
  assert.equal(decision("c1", { ask: "manual" }), "run");
  assert.equal(decision("c1", { must: "manual" }), "skip");
  assert.equal(decision("after-ask", { ask: "manual" }), "skip");
});

test("decide() skips what needs a skipped job, and runs a named job unless its artifacts cannot come", () => {
  assert.equal(decision("b2", { a1: "skipped" }), "skip");
  assert.equal(decision("rescue", { a1: "success" }, true), "run");
  assert.equal(decision("c1", { a1: "failed" }, true), "skip");
});

test("artifactSources() are earlier stages, or needs, or dependencies", () => {
  const names = (name: string) => {
    const job = pipeline.jobs.find((one) => one.name === name);
    assert.ok(job !== undefined);
    return artifactSources(job, pipeline).map((one) => one.name);
  };
  assert.deepEqual(names("b1"), ["a1", "a2"]);
  assert.deepEqual(names("b2"), ["a1"]);
  assert.deepEqual(names("c2"), ["a1"]);
  assert.deepEqual(names("early"), []);
});

test("selectJobs() takes the named jobs and those whose artifacts they get", () => {
  const names = (...wanted: string[]) => selectJobs(pipeline, wanted).map((one) => one.name);
  assert.deepEqual(names("c1"), ["a1", "b1", "c1"]);
  assert.deepEqual(names("b2"), ["a1", "b2"]);
  assert.deepEqual(names("a2"), ["a2"]);
});
