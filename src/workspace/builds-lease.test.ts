import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { isJobKey, type JobKey } from "../gitlab/job-key.ts";
import { isJobLife, type JobLife, lifeOf } from "../gitlab/job-life.ts";
import { type BuildsLease, hasLease, releaseLease, takeLease } from "./builds-lease.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-lease-"));
after(() => rmSync(directory, { recursive: true }));

const builds = join(directory, "project-17");
const file = `${builds}.lease`;
const now = Math.floor(Date.now() / 1000);

function key(id: number): JobKey {
  const text = `${id}-0123456789ab`;
  assert.ok(isJobKey(text));
  return text;
}

/** Two processes that live as long as the test. */
const thisRunner = lifeOf(process.pid, 60);
const otherRunner = lifeOf(1, 60);

function lease(id: number, life = thisRunner): BuildsLease {
  return { jobKey: key(id), jobId: String(id), life };
}

/** The other runner with a part of its identity exchanged. */
function another(part: 0 | 2, text: string): JobLife {
  const life = otherRunner.split("/").with(part, text).join("/");
  assert.ok(isJobLife(life));
  return life;
}

beforeEach(() => {
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
});

describe("takeLease()", () => {
  test("gives the directory to the first job, and to the same job again", () => {
    assert.equal(takeLease(builds, lease(1), now), undefined);
    assert.equal(takeLease(builds, lease(1), now), undefined);
    assert.ok(hasLease(builds, key(1)));
    assert.ok(!hasLease(builds, key(2)));
  });

  test("refuses a job of another runner, and says who has it", () => {
    takeLease(builds, lease(1, otherRunner), now);
    const held = takeLease(builds, lease(2), now);
    assert.deepEqual(held, lease(1, otherRunner));
    assert.ok(hasLease(builds, key(1)));
  });

  test("takes it from a job of the same runner, which has given the directory to another one", () => {
    takeLease(builds, lease(1), now);
    assert.equal(takeLease(builds, lease(2), now), undefined);
    assert.ok(hasLease(builds, key(2)));
  });

  test("takes it from a runner that is gone", () => {
    takeLease(builds, lease(1, another(2, "0")), now);
    assert.equal(takeLease(builds, lease(2), now), undefined);
  });

  test("waits for the end of a job's time where nobody knows whether its runner lives", () => {
    const elsewhere = lease(1, another(0, "another-machine"));
    takeLease(builds, elsewhere, now);
    assert.deepEqual(takeLease(builds, lease(2), now + 55), elsewhere);
    assert.equal(takeLease(builds, lease(2), now + 65), undefined);
  });

  for (const [what, text] of Object.entries({
    nothing: "",
    "no JSON": "{",
    "no lease": '{"jobKey":"1-0123456789ab"}',
    "too much": `"${"x".repeat(5000)}"`,
  })) {
    test(`takes a file that holds ${what} for one that is being written, for a while`, () => {
      writeFileSync(file, text);
      const written = Date.now() / 1000;
      assert.equal(takeLease(builds, lease(2), written), "unknown");
      assert.equal(readFileSync(file, "utf8"), text);
      assert.equal(takeLease(builds, lease(2), written + 11), undefined);
      assert.ok(hasLease(builds, key(2)));
    });
  }

  test("follows no link and waits for nothing that stands in its place", () => {
    writeFileSync(join(directory, "other"), "precious");
    symlinkSync("other", file);
    assert.equal(takeLease(builds, lease(2), now), undefined);
    assert.ok(hasLease(builds, key(2)));
    assert.equal(readFileSync(join(directory, "other"), "utf8"), "precious");
    releaseLease(builds, key(2));
    mkdirSync(file);
    assert.equal(takeLease(builds, lease(2), now), undefined);
    assert.ok(hasLease(builds, key(2)));
  });

  test("leaves nothing but the lease", () => {
    takeLease(builds, lease(1), now);
    takeLease(builds, lease(2), now);
    assert.deepEqual(readdirSync(directory), ["project-17.lease"]);
  });
});

describe("releaseLease()", () => {
  test("gives one's own lease back, and nobody else's", () => {
    takeLease(builds, lease(1), now);
    releaseLease(builds, key(2));
    assert.ok(existsSync(file));
    releaseLease(builds, key(1));
    releaseLease(builds, key(1));
    assert.ok(!existsSync(file));
  });
});
