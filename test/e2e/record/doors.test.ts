import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { decodeLine } from "../../../src/record/decode.ts";
import type { RecordLine } from "../../../src/record/line.ts";
import { asUser, testUser } from "../../harness/machine.ts";
import { type Door, doors, makePlace, type Place, root, skip } from "../authorisation/support/place.ts";

const user = testUser();

describe("the administrator's record of a user's job", { skip }, () => {
  let place: Place;
  let directory: string;
  before(async () => {
    place = await makePlace("record");
    directory = mkdtempSync("/var/tmp/jacamar-e2e-doors-");
    chmodSync(directory, 0o755);
  });
  after(async () => {
    await place.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  /** A directory of the runner's account, as an administrator makes it. */
  function records(door: Door): string {
    const own = join(directory, door.replaceAll(" ", "-"));
    mkdirSync(own, { recursive: true, mode: 0o755 });
    const runner = door === "setuid as root" ? root : place.service;
    chownSync(own, runner.uid, runner.gid);
    return own;
  }

  function linesOf(path: string): RecordLine[] {
    return readFileSync(path, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => {
        const decoded = decodeLine(line);
        assert.ok(decoded, line);
        return decoded;
      });
  }

  for (const door of doors) {
    it(`is whole, and closed to the user: ${door}`, async () => {
      const own = records(door);
      const path = join(own, "jobs.jsonl");
      const metrics = join(own, "jacamar.prom");
      const settings = `[record]\nlocation = "${path}"\nprometheus_file = "${metrics}"`;
      const job = place.job(door, { logging: `enabled = false\n${settings}`, mechanism: "none" });
      // The script looks for a way to what the driver has open, which is not to be had.
      // (Not into its standard input: behind the door of sudo a user can tell the own stage to end.)
      const attack = `for fd in /proc/$PPID/fd/[1-9]*; do echo forged >> "$fd"; done; echo forged >> ${path}; exit 5`;
      const { config, prepare, run, cleanup } = await job.whole(`set +e; ( ${attack} ) 2>/dev/null; exit 5`);
      assert.deepEqual(
        [config, prepare, run, cleanup].map(({ exitCode }) => exitCode),
        [0, 0, 1, 0],
        config.stderr + prepare.stdout + prepare.stderr + run.stdout + run.stderr,
      );
      const lines = linesOf(path);
      assert.deepEqual(
        lines.map((line) => [line.kind, line.stage, line.outcome, line.exit_code, line.account]),
        [
          ["stage", "config", "passed", undefined, user.name],
          ["stage", "prepare", "passed", undefined, user.name],
          ["stage", "build_script", "failed", 5, user.name],
          ["stage", "cleanup", "passed", undefined, user.name],
          ["job", "build_script", "failed", 5, user.name],
        ],
      );
      for (const line of lines) assert.equal(line.job, job.id);
      const whole = lines.at(-1);
      assert.ok(whole?.kind === "job");
      assert.ok(whole.stages[2]?.steps.some(({ name }) => name === "script"));
      const { uid, mode } = lstatSync(path);
      assert.deepEqual([uid, mode & 0o777], [door === "setuid as root" ? 0 : place.service.uid, 0o640]);
      assert.match(
        readFileSync(metrics, "utf8"),
        /^jacamar_jobs_total\{outcome="failed",error="script_failed",.*\} 1$/m,
      );
      const written = await asUser(user, ["sh", "-c", `echo forged >> ${path}`]);
      assert.notEqual(written.exitCode, 0);
    });
  }

  it("keeps the lines of others when a user lets a write of the user's own driver fail half-way", async () => {
    const own = records("setuid as root");
    const path = join(own, "spoilt.jsonl");
    const job = () =>
      place.job("setuid as root", {
        logging: `enabled = false\n[record]\nlocation = "${path}"`,
        mechanism: "none",
      });
    const [mallory, alice] = [job(), job()];
    for (const one of [mallory, alice])
      for (const ended of [await one.config(), await one.prepare()]) {
        assert.equal(ended.exitCode, 0, ended.stderr);
      }
    // Both have the file open; what is written next is mallory's, and has no end.
    const waits = join(place.dataDir, "go");
    const slow = alice.start("build_script", `echo up; until [ -e "${waits}" ]; do sleep 0.1; done`);
    await slow.until("up", 60);
    await mallory.run("build_script", `prlimit --pid "$PPID" --fsize=$(($(stat -c %s ${path}) + 70))`);
    assert.ok(!readFileSync(path, "latin1").endsWith("\n"), "the control: there is half a line");
    assert.equal((await asUser(user, ["touch", waits])).exitCode, 0);
    assert.equal((await slow.done).exitCode, 0);
    await alice.cleanup();
    const last = decodeLine(readFileSync(path, "utf8").trimEnd().split("\n").at(-1) ?? "");
    assert.ok(last?.kind === "job");
    assert.deepEqual(
      last.stages.map(({ stage }) => stage),
      ["config", "prepare", "build_script", "cleanup"],
    );
    await mallory.cleanup();
    for (const one of [mallory, alice]) one.remove();
  });

  it("has the id of a refusal, which the job log shows", async () => {
    const own = records("setuid as root");
    const path = join(own, "refused.jsonl");
    const settings = `[record]\nlocation = "${path}"\nprometheus_file = "${own}/refused.prom"`;
    const job = place.job("setuid as root", {
      auth: `user_blocklist = ["${user.name}"]`,
      logging: `enabled = false\n${settings}`,
    });
    const config = await job.config();
    assert.equal(config.exitCode, 1);
    const id = /\(id ([0-9a-f]{12})\)/.exec(config.stderr)?.[1];
    assert.ok(id !== undefined, config.stderr);
    assert.deepEqual(
      linesOf(path).map((line) => [line.kind, line.stage, line.outcome, line.error, line.id]),
      [
        ["stage", "config", "failed", "job_refused", id],
        ["job", "config", "failed", "job_refused", id],
      ],
    );
    assert.match(readFileSync(join(own, "refused.prom"), "utf8"), /outcome="failed",error="job_refused".*\} 1$/m);
    job.remove();
  });

  it("of each user's own file is left to the user, and opened as the user", async () => {
    const path = join(user.home, ".jacamar-e2e-own-record.jsonl");
    rmSync(path, { force: true });
    for (const door of doors) {
      const settings = '[record]\nlocation = "~/.jacamar-e2e-own-record.jsonl"';
      const job = place.job(door, { logging: `enabled = false\n${settings}`, mechanism: "none" });
      const { run } = await job.whole("true");
      assert.equal(run.exitCode, 0, run.stderr);
      assert.deepEqual(
        linesOf(path).map(({ kind, stage }) => [kind, stage]),
        [
          ["stage", "prepare"],
          ["stage", "build_script"],
          ["stage", "cleanup"],
          ["job", undefined],
        ],
        door,
      );
      assert.equal(lstatSync(path).uid, user.uid);
      rmSync(path);
    }
  });

  it("of each user's own file is nothing to the runner's account, also where the user leads it to a place of that account's", async () => {
    const dataDir = join(directory, "data");
    mkdirSync(dataDir);
    chmodSync(dataDir, 0o1777);
    for (const door of doors) {
      const trap = records(door);
      const base = join(dataDir, user.name);
      const settings = '[record]\nlocation = "$DATA_DIR/record/own.jsonl"';
      const job = place.job(door, {
        logging: `enabled = false\n${settings}`,
        mechanism: "none",
        dataDir,
      });
      const lead = `chmod 755 ${base}; rm -rf ${base}/record; ln -s ${trap} ${base}/record`;
      const { run } = await job.whole(lead);
      assert.equal(run.exitCode, 0, run.stderr);
      assert.ok(!existsSync(join(trap, "own.jsonl")), door);
      const lines = await asUser(user, ["rm", "-f", `${base}/record`]);
      assert.equal(lines.exitCode, 0);
    }
  });
});
