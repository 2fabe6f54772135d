import assert from "node:assert/strict";
import { test } from "node:test";
import { canBeAlive, isJobLife, isSameRunner, lifeOf, newJobLife } from "./job-life.ts";

const now = Math.floor(Date.now() / 1000);

test("newJobLife() ends with the parent of this process, and an hour after GitLab's limit", () => {
  const life = newJobLife(600);
  assert.ok(isJobLife(life));
  assert.ok(canBeAlive(life, now));
  assert.ok(canBeAlive(life, now + 600 + 3500));
  assert.ok(!canBeAlive(life, now + 600 + 3700));
});

test("canBeAlive() knows a runner that is gone, and believes another machine until the deadline", () => {
  const [host = "", pid, start, deadline] = newJobLife(600).split("/");
  for (const [life, alive] of [
    [`${host}/${pid}/${Number(start) + 1}/${deadline}`, false],
    [`${host}/4194305/${start}/${deadline}`, false],
    [`x${host.slice(0, 60)}/4194305/${start}/${deadline}`, true],
    [`x${host.slice(0, 60)}/4194305/${start}/${now - 1}`, false],
  ] as const) {
    assert.ok(isJobLife(life));
    assert.equal(canBeAlive(life, now), alive, life);
  }
});

test("isSameRunner() asks for the process, not for the deadline", () => {
  assert.ok(isSameRunner(lifeOf(process.pid, 60), lifeOf(process.pid, 600)));
  assert.ok(!isSameRunner(lifeOf(process.pid, 60), lifeOf(1, 60)));
});

test("isJobLife() is no other text", () => {
  for (const text of [
    "",
    "a/1/2",
    "a/1/2/3/4",
    "a b/1/2/3",
    "a/-1/2/3",
    "a/1/2/x",
    "a/1/2/3\n",
    "../1/2/3/4",
    undefined,
    5,
  ]) {
    assert.ok(!isJobLife(text), String(text));
  }
});
