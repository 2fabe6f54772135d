import assert from "node:assert/strict";
import test from "node:test";
import { cacheKey, planCache } from "./cache-plan.ts";
import type { CacheDefinition } from "./storage-definition.ts";

const cache: CacheDefinition = {
  key: "k",
  paths: ["$P/"],
  untracked: false,
  policy: "pull-push",
  when: "on_success",
  fallbackKeys: [],
};
const world = { directory: "/cache/g/p", expand: (text: string) => text.replace("$P", "x"), key: "k", fallbackKey: "" };

test("planCache() lists the key and its fallbacks, with their files", () => {
  const { plan, pull, push, warnings } = planCache(
    { ...cache, fallbackKeys: ["f1", "$P-f2"] },
    { ...world, fallbackKey: "last" },
  );
  assert.deepEqual(plan.keys, [
    { key: "k", file: "/cache/g/p/k/cache.tgz" },
    { key: "f1", file: "/cache/g/p/f1/cache.tgz" },
    { key: "x-f2", file: "/cache/g/p/x-f2/cache.tgz" },
    { key: "last", file: "/cache/g/p/last/cache.tgz" },
  ]);
  assert.deepEqual(plan.paths, ["x/"]);
  assert.deepEqual([pull, push, warnings], [true, true, []]);
});

test("planCache() never leads out of the cache directory", () => {
  for (const key of ["../x", "a/../../b", "..\\x", "/../x"]) {
    const { plan, warnings } = planCache(cache, { ...world, key });
    assert.deepEqual(plan.keys, [], key);
    assert.equal(warnings.length, 1);
  }
  assert.equal(planCache(cache, { ...world, key: "/abs/./k " }).plan.keys[0]?.file, "/cache/g/p/abs/k/cache.tgz");
});

test("planCache() honours the policy", () => {
  const flags = (policy: string) => {
    const { pull, push } = planCache({ ...cache, policy }, world);
    return [pull, push];
  };
  assert.deepEqual(flags("pull"), [true, false]);
  assert.deepEqual(flags("push"), [false, true]);
  assert.deepEqual(flags("sideways"), [false, false]);
});

test("cacheKey() depends on the files' content and falls back to default", () => {
  const files: Record<string, string> = { lock: "1" };
  const read = (path: string) => (files[path] === undefined ? undefined : Buffer.from(files[path]));
  const key = () => cacheKey({ ...cache, key: { files: ["lock", "gone"], prefix: "p" } }, read);
  const first = key();
  assert.match(first, /^p-[0-9a-f]{40}$/);
  files["lock"] = "2";
  assert.notEqual(key(), first);
  delete files["lock"];
  assert.equal(key(), "p-default");
});
