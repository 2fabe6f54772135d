import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { Jobs, logOf } from "../stopping/jobs.ts";
import { assertOneMessage, prepareFails } from "./one-message.ts";

const skip = process.getuid?.() !== 0 && "only root can mount a small file system";

let jobs: Jobs;
let place = "";
before(() => {
  jobs = new Jobs("full-disk");
  place = join(jobs.directory, "small");
  mkdirSync(place);
});
afterEach(() => unmount());
after(() => jobs.close());

/** A small file system at `place`, the user's. */
function mount(options: string): void {
  const { uid, gid } = jobs.user;
  execFileSync("mount", ["-t", "tmpfs", "-o", `mode=0700,uid=${uid},gid=${gid},${options}`, "jacamar-e2e", place]);
}

function unmount(): void {
  try {
    execFileSync("umount", ["--lazy", place], { stdio: "ignore" });
  } catch {
    // It was not mounted.
  }
}

/** Takes all the space but so many bytes. */
function fill(leaveBytes = 0): void {
  const { bavail, bsize } = statfsSync(place);
  writeFileSync(join(place, "ballast"), Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
}

const full = /^ERROR: Cannot [^\n]*(?:the file system is full|No space left on device)\n {2}[^\n]+\n/i;

for (const image of [undefined, "localhost/jacamar-busybox"]) {
  const where = image === undefined ? "on the host" : "in a container";
  const wanted = () => ({ dataDir: `${place}/data`, ...(image === undefined ? {} : { image }) });

  describe(`a full disk in data_dir (${where})`, { skip }, () => {
    it("that has no room for a directory stops prepare", async () => {
      mount("size=1m,nr_inodes=4");
      const job = jobs.job({ ...wanted() });
      assertOneMessage(await prepareFails(job), "system", full);
      assert.equal((await job.cleanup()).exitCode, 0);
    });

    it("that has room for the directories, but not for the pipes, stops prepare", async () => {
      mount("size=1m,nr_inodes=30");
      const job = jobs.job({ ...wanted() });
      assertOneMessage(await prepareFails(job), "system", full);
      assert.equal((await job.cleanup()).exitCode, 0);
    });

    it("that has no room for a file stops the first stage that writes one", async () => {
      mount("size=1m");
      fill();
      const job = jobs.job(wanted());
      await job.config();
      const prepare = await job.prepare();
      if (image !== undefined) assert.equal(prepare.exitCode, 2);
      const failed = prepare.exitCode === 0 ? await job.run("build_script", "echo has run") : prepare;
      assert.doesNotMatch(failed.stdout, /has run/);
      assertOneMessage(failed, "system", full);
      assert.equal((await job.cleanup()).exitCode, 0);
    });

    for (const script of ["true", "exit 3"]) {
      const fails = script !== "true";
      it(`that a script has filled itself ${fails ? "does not hide its failure" : "is told, since nobody knows that it passed"}`, async () => {
        mount("size=2m");
        const job = jobs.job(wanted());
        await job.ready();
        const run = await job.run(
          "build_script",
          `cat /dev/zero > ${job.answer.builds_dir}/ballast 2>/dev/null || true; ${script}`,
        );
        if (fails) {
          assert.deepEqual([run.exitCode, logOf(run), job.buildExitCode()], [1, "", "3\n"]);
        } else {
          assertOneMessage(run, "system", full);
        }
        const next = await job.run("after_script", "echo has run");
        assertOneMessage(next, "system", full);
        const cleanup = await job.cleanup();
        assert.equal(cleanup.exitCode, 0, logOf(cleanup));
        assert.deepEqual(readdirSync(dirname(job.directoryOf("scriptsDir"))), []);
        assert.ok(existsSync(`${job.answer.builds_dir}/ballast`));
        rmSync(`${job.answer.builds_dir}/ballast`);
      });
    }
  });
}

describe("a quota in data_dir", { skip }, () => {
  let image = "";
  afterEach(() => rmSync(image, { force: true }));

  /** A large file system of which the user may have hardly anything. */
  function mountWithQuota(): string {
    image = join(jobs.directory, "image");
    const part = join(place, "part");
    execFileSync("truncate", ["--size", "200M", image]);
    execFileSync("mkfs.btrfs", ["--quiet", image], { stdio: "ignore" });
    execFileSync("mount", ["-o", "loop", image, place]);
    execFileSync("btrfs", ["subvolume", "create", part], { stdio: "ignore" });
    execFileSync("chown", [String(jobs.user.uid), part]);
    execFileSync("btrfs", ["quota", "enable", place]);
    execFileSync("btrfs", ["qgroup", "limit", "32K", part]);
    return part;
  }

  it("that is used up stops prepare, and is told from a full file system", async () => {
    const job = jobs.job({ dataDir: join(mountWithQuota(), "data") });
    const used =
      /^ERROR: Cannot write "[^"]+": your quota is used up\n {2}Remove files of yours there, then retry the job\.\n/;
    const prepare = await prepareFails(job);
    assertOneMessage(prepare, "system", used);
    assert.match(prepare.stderr, /\n {2}- your quota on the directory of your jobs \([^)]+\) is used up: remove files/);
    assert.equal((await job.cleanup()).exitCode, 0);
  });
});
