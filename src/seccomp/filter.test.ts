import assert from "node:assert/strict";
import { test } from "node:test";
import { blocks, callFilter, type SeccompConfig } from "./filter.ts";

const unset = { block_calls: undefined, allow_calls: undefined, block_all: undefined };
const filterOf = (seccomp: Partial<SeccompConfig>) =>
  callFilter({ ...unset, limit_setuid: false, disabled: false, ...seccomp });

test("callFilter() is none where nothing is asked for", () => {
  assert.equal(callFilter(undefined), undefined);
  for (const seccomp of [
    {},
    { block_calls: [], allow_calls: [] },
    { block_all: false },
    { block_all: false, allow_calls: ["read"] },
    { disabled: true, block_all: true, block_calls: ["read"], limit_setuid: true },
  ]) {
    assert.equal(filterOf(seccomp), undefined, JSON.stringify(seccomp));
  }
});

test("callFilter() blocks what is named, and all that a list of allowed calls does not name", () => {
  const blocking = filterOf({ block_calls: ["ptrace", "ptrace"], allow_calls: [] });
  assert.deepEqual(blocking, { kind: "block", names: ["ptrace"], limitSetuid: false });
  for (const more of [{}, { block_all: true }]) {
    const allowing = filterOf({ allow_calls: ["read", "write"], block_calls: ["write"], ...more });
    assert.deepEqual(allowing, { kind: "allow", names: ["read"], limitSetuid: false });
  }
  assert.deepEqual(filterOf({ block_all: true }), { kind: "allow", names: [], limitSetuid: false });
  assert.deepEqual(filterOf({ block_all: false, allow_calls: ["read"], block_calls: ["ptrace"] }), {
    kind: "block",
    names: ["ptrace"],
    limitSetuid: false,
  });
});

test("blocks() knows which calls always fail", () => {
  const blocked = (seccomp: Partial<SeccompConfig>) => {
    const filter = filterOf(seccomp);
    assert.ok(filter);
    return ["read", "ptrace", "setuid", "setresuid"].filter((call) => blocks(filter, call));
  };
  assert.deepEqual(blocked({ block_calls: ["ptrace"] }), ["ptrace"]);
  assert.deepEqual(blocked({ allow_calls: ["read", "setuid", "setresuid"] }), ["ptrace"]);
  assert.deepEqual(blocked({ limit_setuid: true }), ["setresuid"]);
  assert.deepEqual(blocked({ limit_setuid: true, allow_calls: ["setuid", "setresuid"] }), [
    "read",
    "ptrace",
    "setresuid",
  ]);
});
