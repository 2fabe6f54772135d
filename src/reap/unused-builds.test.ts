import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { checkConfiguration } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { isJobKey } from "../gitlab/job-key.ts";
import { newJobLife } from "../gitlab/job-life.ts";
import type { DirectoryRules } from "../workspace/directories.ts";
import { takeLease } from "../workspace/builds-lease.ts";
import { type BuildsOwner, findUnusedBuilds, removeUnusedBuilds } from "./unused-builds.ts";

const day = 86_400;
const now = Date.now() / 1000;

describe("builds directories that no job has used", () => {
  let base: string;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "jacamar-reap-"));
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  function make(name: string, days: number): string {
    const path = join(base, "builds", name);
    mkdirSync(join(path, "group/demo"), { recursive: true, mode: 0o700 });
    writeFileSync(join(path, "group/demo/file"), "x");
    utimesSync(path, now - days * day, now - days * day);
    return path;
  }

  async function configured(more: string): Promise<Config> {
    const text = `[general]\nexecutor = "shell"\ndata_dir = "${base}"\n${more}`;
    const { config } = await checkConfiguration(text, "test");
    assert.ok(config);
    return config;
  }

  it("are those past static_dir_retention alone, and none without it", async () => {
    const old = make("one/project-17", 8);
    const left = make("two/.unused-project-5-x", 0);
    for (const [name, days] of [
      ["one/project-18", 6],
      ["one/003", 400],
      ["two/mine", 400],
    ] as const)
      make(name, days);
    symlinkSync(old, join(base, "builds/one/project-19"));
    const on = await configured("static_builds_dir = true\n");
    const found = findUnusedBuilds(on, base, now);
    assert.deepEqual(found, [
      { path: old, unusedDays: 8 },
      { path: left, unusedDays: 0 },
    ]);
    for (const more of ["", "static_builds_dir = true\nstatic_dir_retention = 0\n"]) {
      assert.deepEqual(findUnusedBuilds(await configured(more), base, now), []);
    }
  });

  it("are not those that a job of another runner is at work in", async () => {
    const old = make("one/project-17", 8);
    const jobKey = "7-0123456789ab";
    assert.ok(isJobKey(jobKey));
    assert.equal(takeLease(old, { jobKey, jobId: "7", life: newJobLife(3600) }, now), undefined);
    assert.deepEqual(findUnusedBuilds(await configured("static_builds_dir = true\n"), base, now), []);
  });

  it("are removed, unless a job has taken one since they were found", async () => {
    const [old, taken] = [make("one/project-17", 8), make("one/project-18", 8)];
    const config = await configured("static_builds_dir = true\n");
    const jobKey = "1-000000000000";
    assert.ok(isJobKey(jobKey));
    const { uid } = userInfo();
    const rules: DirectoryRules = { uid, mode: 0o700 };
    const owner: BuildsOwner = { config, base, rules, jobKey, nowSeconds: now, podman: async () => undefined };
    const found = findUnusedBuilds(config, base, now);
    utimesSync(taken, now, now);
    const gone = await Promise.all(found.map((builds) => removeUnusedBuilds(builds, owner)));
    assert.deepEqual(gone, [true, false]);
    assert.ok(!existsSync(old) && existsSync(taken));
    assert.deepEqual(readdirSync(join(base, "builds/one")), ["project-18"]);
  });
});
