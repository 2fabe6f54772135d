import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as v from "valibot";
import { configSchema } from "../config/schema.ts";
import { isJobKey } from "../gitlab/job-key.ts";
import { recordChild } from "./record-child.ts";

const root = mkdtempSync(join(tmpdir(), "jacamar-record-child-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** Does what the runner's account does when a job's stage in `base` is over, with a record at `location`. */
async function record(location: string, base: string): Promise<void> {
  const general = { executor: "shell", data_dir: root };
  const config = v.parse(configSchema, { general, record: { location } });
  const jobKey = `7-${"a".repeat(12)}`;
  assert.ok(isJobKey(jobKey));
  const workspace = {
    base,
    buildsBase: base,
    buildsDir: base,
    cacheDir: base,
    projectCacheDir: base,
    projectDir: base,
    scriptsDir: base,
    privateDir: base,
  };
  await recordChild({
    state: { config, workspace, jobKey },
    stage: "prepare",
    response: undefined,
    identity: {
      name: "alice",
      uid: 1,
      gid: 1,
      downscope: "sudo",
      jacamarPath: "/jacamar",
      environment: [],
      noNewPrivs: false,
    },
    runnerShortToken: undefined,
    told: undefined,
    stopped: false,
  });
}

test("recordChild() writes the administrator's record, and never a user's own, wherever its path leads", async () => {
  const [base, trap] = [join(root, "alice"), join(root, "trap")];
  mkdirSync(base, { mode: 0o700 });
  mkdirSync(trap, { mode: 0o700 });
  symlinkSync(trap, join(base, "record"));
  await record("$DATA_DIR/record/own.jsonl", base);
  assert.ok(!existsSync(join(trap, "own.jsonl")));
  await record(join(trap, "administrator.jsonl"), base);
  assert.ok(existsSync(join(trap, "administrator.jsonl")));
});
