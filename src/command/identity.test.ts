import assert from "node:assert/strict";
import { test } from "node:test";
import * as v from "valibot";
import { configSchema } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import { isJobKey } from "../gitlab/job-key.ts";
import { parseJob } from "../gitlab/job.ts";
import { checkIdentity, checkJob, requireIdentity } from "./identity.ts";
import type { Identity, JobState } from "./state.ts";

const identity: Identity = {
  name: "alice",
  uid: 54_321,
  gid: 54_321,
  downscope: "setuid",
  jacamarPath: "/opt/jacamar/bin/jacamar",
  environment: [],
  noNewPrivs: false,
};
const jobKey = "4242-0123456789ab";
assert.ok(isJobKey(jobKey));
const workspace = {
  base: "/a",
  buildsBase: "/a",
  buildsDir: "/a",
  cacheDir: "/a",
  projectCacheDir: "/a",
  projectDir: "/a",
  scriptsDir: "/a",
  privateDir: "/a",
};
const config = v.parse(configSchema, { general: { executor: "shell", data_dir: "/ci" } });
const state: JobState = { config, workspace, jobKey, identity };

function jobOf(id: number) {
  return parseJob(JSON.stringify({ id, token: "t", job_info: { project_id: 1, pipeline_id: 1 }, git_info: {} }));
}

test("requireIdentity() wants a decision, and an account that is no system's", () => {
  assert.equal(requireIdentity(state), identity);
  for (const without of [undefined, { ...state, identity: undefined }]) {
    assert.throws(() => requireIdentity(without), { code: "state_missing" });
  }
  const system = { ...state, identity: { ...identity, uid: 1 } };
  assert.throws(() => requireIdentity(system), { code: "downscope_failed" });
});

test("checkIdentity() refuses a process that is anybody else, by name, number or group", () => {
  const account = { name: "alice", uid: 54_321, gid: 54_321, shell: "/bin/bash" };
  checkIdentity(account, identity);
  for (const change of [{ name: "bob" }, { uid: 54_322 }, { gid: 54_322 }]) {
    assert.throws(() => checkIdentity({ ...account, ...change }, identity), { code: "downscope_failed" });
  }
});

test("checkIdentity() refuses services and nobody, whoever says that a job was given to them", () => {
  const service = { name: "slurm", uid: 64_030, gid: 64_030 };
  const nobody = { name: "nobody", uid: 65_534, gid: 65_534 };
  for (const [account, shell] of [
    [service, "/usr/sbin/nologin"],
    [service, "/bin/false"],
    [nobody, "/bin/bash"],
  ] as const) {
    assert.throws(() => checkIdentity({ ...account, shell }, { ...identity, ...account }), {
      code: "downscope_failed",
    });
  }
  checkIdentity({ ...service, shell: "/bin/bash" }, { ...identity, ...service });
});

test("checkJob() refuses the decision of another job", () => {
  checkJob(state, jobOf(4242));
  for (const id of [424, 42_420, 4243]) assert.throws(() => checkJob(state, jobOf(id)), { code: "state_missing" });
  // Cleanup may come without its response, or without any state.
  checkJob(state, new JacamarError("job_response_invalid", "gone"));
  checkJob(undefined, jobOf(1));
});
