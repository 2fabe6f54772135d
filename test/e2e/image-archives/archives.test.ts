import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TestJob } from "../../harness/job.ts";
import { asUser } from "../../harness/machine.ts";
import { basicAuth, type Registry, startRegistry } from "../../harness/registry.ts";
import { makeRecorder } from "../podman-support/recorder.ts";
import { type BenchJob, jobKey, prepared, refused, Workbench } from "../podman-support/workbench.ts";

let bench: Workbench;
let slowPodman = "";
before(() => {
  bench = new Workbench("archives");
  // Saving an image of two megabytes is over too soon to be looked at.
  slowPodman = bench.write(
    "slow-podman",
    `#!/bin/bash
case " $* " in *" save "*) [ ! -e ${bench.directory}/fast ] && sleep 3 ;; esac
exec podman "$@"
`,
    0o700,
  );
});
after(() => bench.close());

function archived(image: string, options: BenchJob["podman"] = {}): TestJob {
  return bench.job({ image, podman: { archive_format: "docker-archive", ...options } });
}

function archivesOf(job: TestJob): string {
  return `${job.directoryOf("base")}/archives`;
}

/** The files of one image among the archives, but the lock. */
async function filesOf(job: TestJob, image: string): Promise<string[]> {
  const id = await bench.imageId(image);
  return readdirSync(archivesOf(job))
    .filter((name) => name.includes(id) && name.startsWith("docker-archive") && !name.endsWith(".lock"))
    .map((name) => name.replace(`docker-archive-${id}`, "ARCHIVE"))
    .toSorted();
}

const made = /^Made the archive: /m;

describe("an archive of an image", () => {
  it("is made once by two jobs at once; the other one waits, and both run from it", async () => {
    const image = await bench.makeImage("at-once");
    const jobs = [1, 2].map(() => archived(image, { application_path: slowPodman }));
    const logs = await Promise.all(jobs.map(prepared));
    assert.equal(logs.filter((log) => made.test(log)).length, 1, logs.join("\n---\n"));
    assert.equal(logs.filter((log) => log.includes("Another job is archiving this image")).length, 1);
    const [first, second] = jobs;
    assert.ok(first && second);
    assert.deepEqual(await filesOf(first, image), [
      "ARCHIVE",
      ...jobs.map((job) => `ARCHIVE.use-${jobKey(job)}`).toSorted(),
    ]);
    assert.equal((await first.cleanup()).exitCode, 0);
    const { exitCode, stdout } = await second.run("build_script", "echo ran");
    assert.deepEqual([exitCode, stdout], [0, "ran\n"]);
    assert.equal((await second.cleanup()).exitCode, 0);
    assert.deepEqual(await filesOf(second, image), ["ARCHIVE"]);
  });

  it("needs nothing of Podman in a later job but the pull", async () => {
    const image = await bench.makeImage("later");
    const recorder = makeRecorder(bench);
    const commands = async () => {
      await prepared(archived(image, { application_path: recorder.program }));
      return recorder.take().map(({ argv }) => argv.slice(0, argv[0] === "image" ? 2 : 1).join(" "));
    };
    assert.deepEqual(await commands(), ["image inspect", "run", "run", "save"]);
    assert.deepEqual(await commands(), ["image inspect"]);
  });

  for (const victim of ["the driver alone", "the driver and Podman"] as const) {
    it(`is made by the next job when SIGKILL ends the one that makes it: ${victim}`, async () => {
      const image = await bench.makeImage("killed");
      const [first, second] = [1, 2].map(() => archived(image, { application_path: slowPodman }));
      assert.ok(first && second);
      assert.equal((await first.config()).exitCode, 0);
      const making = first.startPrepare();
      await making.until("Archiving the image as docker-archive");
      await until(async () => (await savers(first)).length > 0);
      making.kill("SIGKILL");
      if (victim === "the driver and Podman") for (const pid of await savers(first)) process.kill(pid, "SIGKILL");
      making.closeOutput();
      await making.done;
      const log = await prepared(second);
      assert.match(log, made);
      assert.deepEqual(await filesOf(second, image), [
        "ARCHIVE",
        ...[first, second].map((job) => `ARCHIVE.use-${jobKey(job)}`).toSorted(),
      ]);
      const { exitCode, stdout } = await second.run("build_script", "echo ran");
      assert.deepEqual([exitCode, stdout], [0, "ran\n"]);
    });
  }

  it("is not made any more after cleanup of a job whose driver was killed, and nothing is left of it", async () => {
    const image = await bench.makeImage("cleaned");
    const job = archived(image, { application_path: slowPodman });
    assert.equal((await job.config()).exitCode, 0);
    const making = job.startPrepare();
    await making.until("Archiving the image as docker-archive");
    await until(async () => (await savers(job)).length > 0);
    making.kill("SIGKILL");
    making.closeOutput();
    await making.done;
    assert.equal((await job.cleanup()).exitCode, 0);
    assert.deepEqual(await savers(job), []);
    assert.deepEqual(await filesOf(job, image), []);
  });

  it("is not made when the runner ends prepare, and nothing is left of it", async () => {
    const image = await bench.makeImage("ended");
    const job = archived(image, { application_path: slowPodman });
    assert.equal((await job.config()).exitCode, 0);
    const making = job.startPrepare();
    await making.until("Archiving the image as docker-archive");
    making.kill("SIGTERM");
    const { exitCode, stdout, stderr } = await making.done;
    assert.equal(exitCode, 2);
    assert.match(stdout + stderr, /GitLab Runner ended this stage/);
    assert.deepEqual(await filesOf(job, image), [`ARCHIVE.use-${jobKey(job)}`]);
    assert.equal((await job.cleanup()).exitCode, 0);
    assert.deepEqual(await filesOf(job, image), []);
  });
});

/** Processes that save an image for a job. */
async function savers(job: TestJob): Promise<number[]> {
  const { stdout } = await asUser(bench.user, ["pgrep", "--full", `docker-archive-[0-9a-f]*.new-${jobKey(job)}`]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("archive_cache_size", () => {
  it("removes the archives that no job has used for the longest time, never one in use", async () => {
    // Each takes 2.1 MB.
    const images = await Promise.all([1, 2, 3, 4].map((number) => bench.makeImage(`limited${number}`)));
    const dataDir = join(bench.dataDir, "limited");
    const jobFor = (index: number) =>
      bench.job({
        image: images[index] ?? "",
        general: { data_dir: dataDir },
        podman: { archive_format: "docker-archive", archive_cache_size: "7MiB" },
      });
    const jobs = [0, 1, 2].map(jobFor);
    for (const job of jobs) await prepared(job);
    const [first, second, third] = jobs;
    assert.ok(first && second && third);
    const there = async () => {
      const all = await Promise.all(images.map((image) => filesOf(first, image)));
      return all.map((names) => names.includes("ARCHIVE"));
    };
    const lastUse = async (index: number, hours: number) => {
      const path = join(archivesOf(first), `docker-archive-${await bench.imageId(images[index] ?? "")}`);
      const then = new Date(Date.now() - hours * 3600_000);
      utimesSync(path, then, then);
    };
    await lastUse(0, 5);
    await lastUse(1, 2);
    await lastUse(2, 3);
    for (const job of [second, third]) assert.equal((await job.cleanup()).exitCode, 0);
    // The first one's is the oldest, but that job has not ended.
    const log = await prepared(jobFor(3));
    assert.match(log, /^Removed 1 archive\(s\) that were not used for the longest time$/m);
    assert.deepEqual(await there(), [true, true, false, true]);
    const { exitCode, stdout } = await first.run("build_script", "echo ran");
    assert.deepEqual([exitCode, stdout], [0, "ran\n"]);
  });
});

describe("the archive of a private image", () => {
  let registry: Registry;
  before(() => {
    registry = startRegistry({ alice: "wonderland" });
  });
  after(() => registry.stop());

  it("is for jobs whose own credentials the registry takes, also when it lies there", async () => {
    const name = `${registry.host}/private/app:1`;
    const image = await bench.makeImage("private");
    const id = await bench.imageId(image);
    await registry.push(bench.user, image, "private/app:1");
    const auths = { [registry.host]: { auth: basicAuth("alice", "wonderland") } };
    const variables = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths }) };
    const podman = { archive_format: "docker-archive", image_pull_policy: "always" };
    const mine = bench.job({ image: name, podman, variables });
    bench.removeImageLater(name);
    assert.match(await prepared(mine), made);
    assert.ok(existsSync(join(archivesOf(mine), `docker-archive-${id}`)));
    await bench.podman("rmi", "--force", name, image);

    for (const policy of ["always", "missing"]) {
      const other = bench.job({ image: name, podman: { ...podman, image_pull_policy: policy } });
      const { exitCode, log } = await refused(other);
      assert.equal(exitCode, 1, policy);
      assert.match(log, /the job has no credentials for 127\.0\.0\.1:\d+, /);
      const byId = bench.job({ image: id, podman: { ...podman, image_pull_policy: "never" } });
      assert.equal((await refused(byId)).exitCode, 1);
    }
    const again = bench.job({ image: name, podman, variables });
    assert.doesNotMatch(await prepared(again), made);
  });
});

describe("the directory of the archives", () => {
  it("is not seen by containers, and closed to others", async () => {
    const image = await bench.makeImage("unseen");
    const job = archived(image);
    await prepared(job);
    const directory = archivesOf(job);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    const { stdout } = await job.run(
      "build_script",
      `for path in ${directory} ${job.directoryOf("privateDir")}; do [ -e "$path" ] && echo "sees $path"; done; ls -1 ${job.directoryOf("base")}; true`,
    );
    assert.deepEqual(stdout.trim().split("\n").toSorted(), ["builds", "cache", "scripts"]);
  });

  it("is no directory of somebody else's, or open to others, whatever leads to it", { skip: rootOnly() }, async () => {
    const image = await bench.makeImage("planted");
    const prepareWith = async (plant: (directory: string) => void) => {
      const dataDir = join(bench.dataDir, `planted${Math.random().toString(36).slice(2)}`);
      const job = bench.job({ image, general: { data_dir: dataDir }, podman: { archive_format: "oci-dir" } });
      const { uid, gid } = bench.user;
      await asUser(bench.user, ["mkdir", "-p", "-m", "700", dataDir]);
      assert.ok(uid > 0 && gid > 0);
      plant(join(dataDir, "archives"));
      return refused(job);
    };
    const roots = join(bench.directory, "root");
    mkdirSync(roots, { mode: 0o755 });
    const open = join(bench.directory, "open");
    await asUser(bench.user, ["mkdir", "-m", "777", open]);
    chmodSync(open, 0o777);
    for (const plant of [
      (directory: string) => mkdirSync(directory),
      (directory: string) => symlinkSync(roots, directory),
      (directory: string) => symlinkSync(open, directory),
    ]) {
      const { exitCode, log } = await prepareWith(plant);
      assert.equal(exitCode, 2, log);
      assert.match(log, /ERROR: The directory ".*" (?:belongs to|is a symbolic link of|can be written by others)/);
    }
    assert.deepEqual(readdirSync(open), []);
    assert.deepEqual(readdirSync(roots), []);
    rmSync(roots, { recursive: true });
  });
});

describe("archives on a full disk", { skip: rootOnly() }, () => {
  let place = "";
  before(() => {
    place = join(bench.directory, "small");
    mkdirSync(place);
    const { uid, gid } = bench.user;
    execFileSync("mount", ["-t", "tmpfs", "-o", `mode=0700,uid=${uid},gid=${gid},size=9m`, "jacamar-e2e", place]);
  });
  after(() => execFileSync("umount", ["--lazy", place]));

  const jobOf = (image: string) =>
    bench.job({ image, general: { data_dir: join(place, "data") }, podman: { archive_format: "docker-archive" } });

  it("make room for the next one when no job uses them, and stop a job when all are in use", async () => {
    const images = await Promise.all(["full1", "full2", "full3"].map((name) => bench.makeImage(name)));
    const [first, second, third] = images.map(jobOf);
    assert.ok(first && second && third);
    await prepared(first);
    assert.equal((await first.cleanup()).exitCode, 0);
    await prepared(second);
    // Podman needs the space twice while it saves: 2.1 MB each.
    const ballast = join(place, "ballast");
    const { bavail, bsize } = statfsSync(place);
    writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - 3 * 1024 * 1024)));
    const log = await prepared(third);
    assert.match(log, /^The disk is full. Removed 1 archive\(s\) that no job uses; trying again$/m);
    assert.deepEqual(await filesOf(third, images[0] ?? ""), []);

    const last = await bench.makeImage("full4");
    const fourth = jobOf(last);
    const { exitCode, log: said } = await refused(fourth);
    assert.equal(exitCode, 2);
    assert.match(said, /^ERROR: Cannot archive the image .*[Nn]o space left on device\n {2}[^\n]+$/m);
    assert.deepEqual(await filesOf(fourth, last), [`ARCHIVE.use-${jobKey(fourth)}`]);
    assert.equal((await fourth.cleanup()).exitCode, 0);
    assert.deepEqual(await filesOf(second, images[1] ?? ""), ["ARCHIVE", `ARCHIVE.use-${jobKey(second)}`]);
    for (const job of [second, third]) assert.equal((await job.cleanup()).exitCode, 0);
  });
});

function rootOnly(): string | false {
  return process.getuid?.() !== 0 && "only root can make a directory of somebody else's, or a small file system";
}
