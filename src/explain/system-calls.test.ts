import assert from "node:assert/strict";
import { test } from "node:test";
import * as v from "valibot";
import { configSchema } from "../config/schema.ts";
import { explainFilter } from "./system-calls.ts";

function explained(seccomp: object, { executor = "shell", runnerId = 0 } = {}): string[] {
  const config = { general: { executor, data_dir: "/x" }, auth: { downscope: "setuid", seccomp } };
  return explainFilter(v.parse(configSchema, config), runnerId);
}

test("explainFilter() tells the filter, and where it does not hold", () => {
  assert.deepEqual(explained({}), []);
  assert.deepEqual(explained({ block_calls: ["ptrace", "unshare"] }), [
    "\nSystem calls",
    "  all but     ptrace, unshare",
  ]);
  assert.deepEqual(explained({ limit_setuid: true }, { executor: "slurm" }), [
    "\nSystem calls",
    "  identity    setuid and setgid to the job's own user and group",
    "  not on the nodes: the scheduler starts the scripts of batch jobs, without this filter",
  ]);
});

test("explainFilter() knows when no job would run", () => {
  assert.throws(() => explained({ block_calls: ["ptrace"] }, { runnerId: 990 }), {
    code: "config_invalid",
    message: /cannot be loaded with a service account/,
  });
  assert.throws(() => explained({ allow_calls: ["read"] }), {
    code: "config_invalid",
    message: /without which no job runs/,
  });
});
