import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";
import { assertOneMessage } from "./one-message.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("job-response");
});
after(() => jobs.close());

const secret = "glcbt-64_this-token-must-not-be-shown";

/** What is done to a good job response, and how the message goes on. */
const damages: Readonly<Record<string, readonly [damage: (file: string) => void, message: RegExp]>> = {
  "is missing": [(file) => rmSync(file), /Cannot open the job response "[^"]+": ENOENT/],
  "was cut off": [
    (file) => truncateSync(file, 300),
    /The job response is not JSON \(300 characters\); it may have been/,
  ],
  "is empty": [(file) => truncateSync(file, 0), /The job response is not JSON \(0 characters\)/],
  "is not JSON": [(file) => writeFileSync(file, `token=${secret}`), /The job response is not JSON/],
  "is nested without end": [(file) => writeFileSync(file, "[".repeat(1_000_000)), /The job response is not JSON/],
  "is a list": [(file) => writeFileSync(file, "[]"), /The job response has no valid /],
  "is null": [(file) => writeFileSync(file, "null"), /The job response has no valid /],
  "is huge": [(file) => truncateSync(file, 70 * 1024 * 1024), /has 73400320 bytes, more than the 67108864 allowed/],
  "cannot be read": [(file) => chmodSync(file, 0), /Cannot open the job response "[^"]+": EACCES/],
  "is a directory": [
    (file) => {
      rmSync(file);
      mkdirSync(file, { mode: 0o755 });
    },
    /is not a regular file/,
  ],
  "is a symbolic link": [
    (file) => {
      rmSync(file);
      symlinkSync("/etc/passwd", file);
    },
    /Cannot open the job response "[^"]+": ELOOP/,
  ],
  "is a pipe that nobody writes to": [
    (file) => {
      rmSync(file);
      execFileSync("mkfifo", ["-m", "666", file]);
    },
    /is not a regular file/,
  ],
};

describe("no job runs when the job response", () => {
  for (const [what, [damage, message]] of Object.entries(damages)) {
    it(what, async () => {
      const job = jobs.job();
      const file = join(job.directory, "response.json");
      damage(file);
      check(await job.config(), message);
      assert.equal((await job.cleanup()).exitCode, 0);
    });
  }

  it("is damaged after the config stage", async () => {
    const job = jobs.job({ image: "localhost/jacamar-busybox" });
    await job.ready();
    truncateSync(join(job.directory, "response.json"), 300);
    check(await job.run("build_script", "echo has run"), /The job response is not JSON/);
    check(await job.prepare(), /The job response is not JSON/);
    assert.equal((await job.cleanup()).exitCode, 0);
  });

  const wrong: Readonly<Record<string, readonly [response: Record<string, unknown>, where: string]>> = {
    "a text as its id": [{ id: "12" }, "id"],
    "a path as its id": [{ id: "../../etc" }, "id"],
    "no id": [{ id: undefined }, "id"],
    "a negative id": [{ id: -1 }, "id"],
    "a broken number as its id": [{ id: 1.5 }, "id"],
    "an id beyond all numbers": [{ id: 1e300 }, "id"],
    "a number as its token": [{ token: 5 }, "token"],
    "a text as its image": [{ image: "debian" }, "image"],
    "a number as its image's name": [{ image: { name: 5 } }, "image.name"],
    "a text as its entrypoint": [{ image: { name: "x", entrypoint: "/bin/sh" } }, "image.entrypoint"],
    "a list in its entrypoint": [{ image: { name: "x", entrypoint: [["/bin/sh"]] } }, "image.entrypoint.0"],
    "no git_info": [{ git_info: null }, "git_info"],
    "variables that are none": [{ variables: { A: secret } }, "variables"],
    "credentials that are none": [{ credentials: [secret] }, "credentials.0"],
  };
  for (const [what, [response, where]] of Object.entries(wrong)) {
    it(`has ${what}`, async () => {
      const config = await jobs.job({ response }).config();
      check(config, new RegExp(`^ERROR: The job response has no valid (?:\\S+, )*${where.replaceAll(".", "\\.")}\\n`));
    });
  }

  it("has ten thousand mistakes, and the message stays short", async () => {
    const variables = Array.from({ length: 10_000 }, () => 5);
    const config = await jobs.job({ response: { variables } }).config();
    check(config, /^ERROR: The job response has no valid variables\.0, variables\.1/);
    assert.ok(config.stderr.length < 600, `${config.stderr.length} characters`);
  });
});

function check(ended: Awaited<ReturnType<AnyJob["config"]>>, message: RegExp): void {
  assertOneMessage(ended, "system", message);
  assert.equal(ended.stdout, "");
  assert.ok(!logOf(ended).includes(secret) && !logOf(ended).includes("glcbt-"), "the message quotes the response");
}
