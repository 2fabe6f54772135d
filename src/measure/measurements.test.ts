import assert from "node:assert/strict";
import { test } from "node:test";
import { Measurements } from "./measurements.ts";

test("a step is noted also when it fails, and its failure goes on", async () => {
  const measure = new Measurements();
  await assert.rejects(
    measure.step("pull", () => Promise.reject(new Error("no registry"))),
    /no registry/,
  );
  assert.equal(await measure.step("trial", () => 7), 7);
  assert.deepEqual(
    measure.steps.map(({ name }) => name),
    ["pull", "trial"],
  );
});

test("steps of one name are added up; a time before the beginning, or an end before its beginning, counts as none", () => {
  const measure = new Measurements();
  measure.add("trial", 1000, 1500);
  measure.add("trial", 2000, 2250);
  measure.add("script", -5, -10);
  assert.equal(measure.seconds("trial"), 0.75);
  assert.equal(measure.seconds("queue"), undefined);
  assert.deepEqual(measure.steps.at(-1), { name: "script", atSeconds: 0, seconds: 0 });
});

test("the later word on a fact counts", () => {
  const measure = new Measurements();
  measure.note({ image: "a", imageCache: "hit" });
  measure.note({ image: "b" });
  assert.deepEqual(measure.facts, { image: "b", imageCache: "hit" });
});
