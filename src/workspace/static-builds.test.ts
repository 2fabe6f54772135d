import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { isJobKey } from "../gitlab/job-key.ts";
import { lifeOf } from "../gitlab/job-life.ts";
import { type BuildsLease, hasLease, takeLease } from "./builds-lease.ts";
import { noteUse, runnerDirectories, setAside, staticBuildsName, unusedBuilds } from "./static-builds.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-static-"));
after(() => rmSync(directory, { recursive: true }));

const now = Math.floor(Date.now() / 1000);
const old = now - 1000;
const before = now - 100;
const jobKey = "1-0123456789ab";
assert.ok(isJobKey(jobKey));
const lease: BuildsLease = { jobKey, jobId: "1", life: lifeOf(process.pid, 3600) };
const runner = join(directory, "builds/token");

function make(name: string, time: number): string {
  const path = join(runner, name);
  mkdirSync(join(path, "group/demo"), { recursive: true });
  writeFileSync(join(path, "group/demo/file"), "");
  utimesSync(path, time, time);
  return path;
}

beforeEach(() => {
  rmSync(join(directory, "builds"), { recursive: true, force: true });
  mkdirSync(runner, { recursive: true });
});

test("staticBuildsName() numbers all but the first of a project's jobs that run at once", () => {
  assert.equal(staticBuildsName(17, 0), "project-17");
  assert.equal(staticBuildsName(17, 2), "project-17-2");
});

describe("unusedBuilds()", () => {
  test("finds the directories that no job has used since then, and what earlier removals left", () => {
    const found = [make("project-17", old), make("project-17-1", old), make(".unused-project-3-x", now)];
    make("project-18", now);
    assert.deepEqual(unusedBuilds([runner], before).toSorted(), found.toSorted());
  });

  test("looks at nothing that is not of static_builds_dir, and follows no link", () => {
    for (const name of ["000", "project", "project-", "project-x", "project-17-0", "project-17x", "demo"])
      make(name, old);
    const outside = join(directory, "outside");
    mkdirSync(outside, { recursive: true });
    utimesSync(outside, old, old);
    symlinkSync(outside, join(runner, "project-19"));
    writeFileSync(join(runner, "project-20"), "");
    assert.deepEqual(unusedBuilds([runner, join(directory, "missing")], before), []);
    symlinkSync(outside, join(directory, "builds/link"));
    assert.deepEqual(runnerDirectories(join(directory, "builds")), [runner]);
  });

  test("counts from what noteUse() has noted", () => {
    const path = make("project-17", old);
    noteUse(path, now);
    assert.deepEqual(unusedBuilds([runner], before), []);
    assert.equal(statSync(path).mtimeMs, now * 1000);
    noteUse(join(runner, "gone"), now);
  });
});

describe("setAside()", () => {
  test("gives an unused directory a name under which no job looks for it, and leaves no lease", () => {
    const path = make("project-17", old);
    const aside = setAside(path, before, lease, now);
    assert.equal(aside, join(runner, `.unused-project-17-${jobKey}`));
    assert.ok(existsSync(join(aside, "group/demo/file")));
    assert.ok(!existsSync(path));
    assert.ok(!existsSync(`${path}.lease`));
    // What was set aside before needs no lease.
    assert.equal(setAside(aside, before, lease, now), aside);
  });

  test("leaves a directory alone that a job uses, or has used meanwhile", () => {
    const path = make("project-17", old);
    const other = "2-0123456789ab";
    assert.ok(isJobKey(other));
    takeLease(path, { ...lease, jobKey: other, life: lifeOf(1, 3600) }, now);
    assert.equal(setAside(path, before, lease, now), undefined);
    assert.ok(hasLease(path, other));
    const used = make("project-18", now);
    assert.equal(setAside(used, before, lease, now), undefined);
    assert.ok(existsSync(used) && existsSync(path));
    assert.ok(!hasLease(used, jobKey));
  });
});
