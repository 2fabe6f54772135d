import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { isJobKey } from "../gitlab/job-key.ts";
import { lockFile } from "../process/file-lock.ts";
import { pause } from "../process/signals.ts";
import type { ArchiveFormat } from "./archive.ts";
import { provideArchive } from "./archive-cache.ts";
import { forgetJob, lockPath } from "./archive-files.ts";
import { makeRoom, roomToMake } from "./archive-eviction.ts";
import { PodmanClient } from "./client.ts";

const root = mkdtempSync(join(tmpdir(), "jacamar-archives-"));
after(() => rmSync(root, { recursive: true, force: true }));

const formats = ["docker-archive", "docker-dir", "oci-archive", "oci-dir"] as const;
const never = new AbortController().signal;
let count = 0;

function idOf(number: number): string {
  return `${number}`.padStart(2, "0").repeat(32);
}

/** A directory of archives, and a stand-in for Podman whose `save` writes what `save` says (with OUT, FORMAT, ID set). */
function makeCache(save = 'sleep 0.2; echo content of $ID > "$OUT"') {
  count += 1;
  const at = join(root, `${count}`);
  const directory = join(at, "archives");
  mkdirSync(directory, { recursive: true });
  const text = `#!/bin/bash
echo "$*" >> ${at}/calls
FORMAT=$4 OUT=$6 ID=$7
case $FORMAT in
*-dir) mkdir "$OUT"; OUT=$OUT/index.json ;;
esac
${save.replaceAll("AT", at)}
`;
  writeFileSync(join(at, "podman"), text, { mode: 0o700 });
  const podman = new PodmanClient(join(at, "podman"), { PATH: "/usr/bin:/bin" }, at);
  const job = (number: number, options: { limitBytes?: number; stop?: AbortSignal; reportSeconds?: number } = {}) => {
    const jobKey = `${number}-0123456789ab`;
    assert.ok(isJobKey(jobKey));
    const privateDir = join(at, `${number}.private`);
    mkdirSync(privateDir, { recursive: true });
    const place = { directory, jobKey, privateDir };
    const said: string[] = [];
    const tools = {
      podman,
      stop: never,
      limitBytes: undefined,
      say: (line: string) => void said.push(line),
      ...options,
    };
    return {
      place,
      said,
      privateDir,
      provide: (image: number, format: ArchiveFormat = "docker-archive") =>
        provideArchive({ id: idOf(image), bytes: 1000 }, format, place, tools),
      end: () => {
        rmSync(privateDir, { recursive: true });
        forgetJob(directory, jobKey);
      },
    };
  };
  return {
    at,
    directory,
    job,
    path: (image: number, format: ArchiveFormat = "docker-archive") => join(directory, `${format}-${idOf(image)}`),
    saves: () =>
      existsSync(join(at, "calls")) ? readFileSync(join(at, "calls"), "utf8").trim().split("\n").length : 0,
    /** Without locks, which stay. */
    files: () =>
      readdirSync(directory)
        .filter((name) => !name.endsWith(".lock"))
        .toSorted(),
  };
}

/** One that only waits to be reaped is not. */
function isAlive(pid: string): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Makes the last use of an archive that many hours ago. */
function age(path: string, hours: number): void {
  const then = new Date(Date.now() - hours * 3600 * 1000);
  utimesSync(path, then, then);
}

describe("provideArchive()", () => {
  for (const format of formats) {
    test(`makes one archive for all jobs of an image, as ${format}`, async () => {
      const { job, path, saves, files } = makeCache();
      const [first, second] = [job(1), job(2)];
      const made = await first.provide(7, format);
      const found = await second.provide(7, format);
      assert.equal(saves(), 1);
      const file = path(7, format);
      if (format === "oci-dir") {
        assert.deepEqual([made, found], ["oci:image-1-0123456789ab", "oci:image-2-0123456789ab"]);
        assert.equal(readlinkSync(join(first.privateDir, "image-1-0123456789ab")), file);
      } else {
        const transport = format === "docker-dir" ? "dir" : format;
        assert.deepEqual([made, found], [`${transport}:${file}`, `${transport}:${file}`]);
      }
      assert.equal(statSync(file).mode & 0o077, 0, "closed to others");
      assert.match(
        readFileSync(format.endsWith("-dir") ? join(file, "index.json") : file, "utf8"),
        new RegExp(idOf(7)),
      );
      assert.deepEqual(second.said, []);
      first.end();
      second.end();
      assert.deepEqual(files(), [`${format}-${idOf(7)}`]);
    });
  }

  test("has one of many jobs make it, while the others wait and say so", async () => {
    const { job, saves, files } = makeCache();
    const jobs = Array.from({ length: 12 }, (_, index) => job(index + 1));
    const archives = await Promise.all(jobs.map(({ provide }) => provide(7)));
    assert.equal(saves(), 1);
    assert.equal(new Set(archives).size, 1);
    const waiting = jobs.filter(({ said }) => said.some((line) => line.startsWith("Another job is archiving")));
    assert.equal(waiting.length, 11);
    assert.equal(files().length, 1 + 12);
  });

  test("makes one for each image and format at the same time", async () => {
    const { job, saves } = makeCache();
    await Promise.all([job(1).provide(7), job(2).provide(8), job(3).provide(7, "oci-dir")]);
    assert.equal(saves(), 3);
  });

  test("says now and then how far it is, also to those who wait", async () => {
    const { job, at } = makeCache(
      'head -c 5000 /dev/zero > "$OUT"; sync "$OUT"; touch AT/making; until [ -e AT/go ]; do sleep 0.05; done',
    );
    const [maker, waiter] = [job(1, { reportSeconds: 0.2 }), job(2, { reportSeconds: 0.2 })];
    const made = maker.provide(7);
    while (!existsSync(join(at, "making"))) await pause(20);
    const waited = waiter.provide(7);
    const saying = (words: string) => (line: string) => line.startsWith(`${words}: 8 kB after `);
    while (!maker.said.some(saying("Still archiving"))) await pause(20);
    while (!waiter.said.some(saying("Still waiting for the other job's archive"))) await pause(20);
    writeFileSync(join(at, "go"), "");
    await Promise.all([made, waited]);
    assert.match(maker.said.at(0) ?? "", /^Archiving the image as docker-archive: 1 kB$/);
    assert.match(maker.said.at(-1) ?? "", /^Made the archive: 8 kB, in \d+\.\ds$/);
  });

  test("makes it again when the one who was making it fails, and leaves nothing of that one", async () => {
    const { job, saves, files, at } = makeCache(
      'if [ ! -e AT/once ]; then touch AT/once; echo half > "$OUT"; sleep 0.3; echo "Error: bad" >&2; exit 125; fi; echo whole > "$OUT"',
    );
    const [first, second] = [job(1), job(2)];
    const failing = assert.rejects(first.provide(7), { code: "image_archive_failed", message: /: bad$/ });
    while (!existsSync(join(at, "once"))) await pause(20);
    await Promise.all([failing, second.provide(7)]);
    assert.equal(saves(), 2);
    assert.deepEqual(
      files().filter((name) => name.includes(".new-")),
      [],
    );
  });

  test("ends Podman with the stage, and leaves nothing half-made", async () => {
    const { job, files, at } = makeCache(
      'trap "" TERM; echo half > "$OUT"; echo $$ > AT/p; mv AT/p AT/pid; sleep 30; sleep 30',
    );
    const controller = new AbortController();
    const { provide } = job(1, { stop: controller.signal });
    const providing = provide(7);
    while (!existsSync(join(at, "pid"))) await pause(20);
    controller.abort();
    await assert.rejects(providing, { code: "image_archive_failed" });
    while (isAlive(readFileSync(join(at, "pid"), "utf8").trim())) await pause(20);
    assert.deepEqual(files(), [`docker-archive-${idOf(7)}.use-1-0123456789ab`]);
  });

  test("waits no longer than the stage lasts", async () => {
    const { job, at } = makeCache("touch AT/making; until [ -e AT/go ]; do sleep 0.05; done");
    const controller = new AbortController();
    const making = job(1).provide(7);
    while (!existsSync(join(at, "making"))) await pause(20);
    const waiter = job(2, { stop: controller.signal });
    const waiting = waiter.provide(7);
    while (waiter.said.length === 0) await pause(20);
    controller.abort();
    await waiting;
    writeFileSync(join(at, "go"), "");
    assert.deepEqual(waiter.said, ["Another job is archiving this image; waiting for it"]);
    await making.catch(() => undefined);
  });

  test("removes what a killed maker has left, and takes nothing half-made for an archive", async () => {
    const { job, path, saves, files } = makeCache();
    for (const image of [7, 8]) {
      writeFileSync(`${path(image)}.new-99-0123456789ab`, "half");
      mkdirSync(`${path(image)}.gone-98-0123456789ab`);
    }
    await job(1).provide(7);
    assert.equal(saves(), 1);
    assert.deepEqual(files(), [`docker-archive-${idOf(7)}`, `docker-archive-${idOf(7)}.use-1-0123456789ab`]);
  });

  test("makes anew what cannot be an archive, following no link", async () => {
    const { job, path, saves, at } = makeCache();
    const secret = join(at, "secret");
    writeFileSync(secret, "other's");
    symlinkSync(secret, path(1));
    writeFileSync(path(2), "");
    mkdirSync(path(3));
    writeFileSync(path(4, "oci-dir"), "no directory");
    mkdirSync(join(at, "others"));
    writeFileSync(join(at, "others/file"), "");
    symlinkSync(join(at, "others"), path(5, "docker-dir"));
    for (const [image, format] of [[1], [2], [3], [4, "oci-dir"], [5, "docker-dir"]] as const) {
      await job(image).provide(image, format);
      assert.ok(!lstatSync(path(image, format)).isSymbolicLink());
    }
    assert.equal(saves(), 5);
    assert.equal(readFileSync(secret, "utf8"), "other's");
    assert.deepEqual(readdirSync(join(at, "others")), ["file"]);
  });

  test("has a shell hold the lock while Podman runs, not what Podman leaves running", async () => {
    const { job, at } = makeCache('ls -l /proc/$$/fd > AT/mine; ls -l /proc/$PPID/fd > AT/shells; echo x > "$OUT"');
    await job(1).provide(7);
    const has = (name: string) => readFileSync(join(at, name), "utf8").includes(".lock\n");
    assert.deepEqual([has("mine"), has("shells")], [false, true]);
  });

  test("tells a full disk from the rest", async () => {
    const full = makeCache('echo half > "$OUT"; echo "Error: write x: no space left on device" >&2; exit 125');
    await assert.rejects(full.job(1).provide(7), { code: "disk_full" });
    assert.deepEqual(full.files(), [`docker-archive-${idOf(7)}.use-1-0123456789ab`]);
    await assert.rejects(provideIn(join(root, "missing")), { code: "directory_failed" });
  });

  test("has archives that no job uses make room on a full disk", async () => {
    const { job, path, files } = makeCache(
      'if [ -e AT/archives/docker-archive-*0101 ]; then echo "Error: no space left on device" >&2; exit 125; fi; echo x > "$OUT"',
    );
    writeFileSync(path(1), "old");
    const user = job(1);
    await user.provide(7);
    assert.ok(user.said.includes("The disk is full. Removed 1 archive(s) that no job uses; trying again"));
    assert.equal(files().length, 2);
  });
});

async function provideIn(directory: string) {
  const { job } = makeCache();
  const { place } = job(1);
  const tools = {
    podman: new PodmanClient("podman", {}, "/"),
    stop: never,
    say: () => undefined,
    limitBytes: undefined,
  };
  return provideArchive({ id: idOf(1), bytes: 1 }, "oci-dir", { ...place, directory }, tools);
}

describe("archive_cache_size", () => {
  const archiveOf40 = 'head -c 40960 /dev/zero > "$OUT"';
  const limitBytes = 100 * 1024;

  test("removes the archive whose last use is the longest ago", async () => {
    const { job, path, directory } = makeCache(archiveOf40);
    for (const image of [1, 2, 3]) {
      const past = job(image);
      await past.provide(image);
      past.end();
      age(path(image), 10 - image);
    }
    // Of the oldest one this is now the last use.
    const later = job(4);
    await later.provide(1);
    later.end();
    const user = job(5, { limitBytes: 125 * 1024 });
    await user.provide(5);
    assert.deepEqual(
      [1, 2, 3, 5].map((image) => existsSync(path(image))),
      [true, false, true, true],
    );
    assert.ok(user.said.includes("Removed 1 archive(s) that were not used for the longest time"), user.said.join("\n"));
    assert.ok(!readdirSync(directory).includes(`docker-archive-${idOf(2)}.lock`), "its lock goes with it");
  });

  test("never removes one that a job uses, and says so", async () => {
    const { job, path } = makeCache(archiveOf40);
    const [first, second, third] = [job(1, { limitBytes }), job(2, { limitBytes }), job(3, { limitBytes })];
    await first.provide(1);
    await second.provide(2);
    age(path(1), 5);
    age(path(2), 3);
    await third.provide(3);
    assert.deepEqual(
      [1, 2, 3].map((image) => existsSync(path(image))),
      [true, true, true],
    );
    assert.ok(
      third.said.includes(
        "WARNING: your archives of images take 120 kB, more than archive_cache_size (100 kB); all that are left are in use",
      ),
    );
    first.end();
    const fourth = job(4, { limitBytes: 130 * 1024 });
    await fourth.provide(4);
    assert.deepEqual(
      [1, 2, 3, 4].map((image) => existsSync(path(image))),
      [false, true, true, true],
    );
  });

  test("takes a mark whose job is gone, or older than any job, for none", async () => {
    const { job, path, directory, files, at } = makeCache(archiveOf40);
    const user = job(9);
    writeFileSync(path(1), "x".repeat(9000));
    writeFileSync(path(2), "x".repeat(9000));
    writeFileSync(path(3), "x".repeat(9000));
    symlinkSync(join(at, "gone.private"), `${path(1)}.use-1-0123456789ab`);
    symlinkSync(".", `${path(2)}.use-2-0123456789ab`);
    writeFileSync(`${path(3)}.use-3-0123456789ab`, "no link");
    assert.deepEqual(await makeRoom(user.place, 0), { removed: 3, left: 0 });
    assert.deepEqual(files(), []);
    await user.provide(4);
    assert.deepEqual(await makeRoom(user.place, 0), { removed: 0, left: 40960 });
    assert.equal(directory, user.place.directory);
  });

  test("leaves alone what is being made, and what is nobody's", async () => {
    const { job, path, directory, files } = makeCache();
    const { place } = job(9);
    writeFileSync(path(1), "whole");
    writeFileSync(`${path(2)}.new-2-0123456789ab`, "being made");
    writeFileSync(`${path(3)}.new-3-0123456789ab`, "left by a dead one");
    writeFileSync(join(directory, "notes.txt"), "the user's own");
    const locks = await Promise.all(
      [1, 2].map((image) => lockFile(lockPath(place, `docker-archive-${idOf(image)}`), "exclusive", "at-once")),
    );
    writeFileSync(`${path(4)}.lock`, "");
    const told = await roomToMake(place, 0);
    assert.deepEqual(told, { unfinished: { count: 1, bytes: 4096 }, beyond: { count: 1, bytes: 4096 } });
    assert.ok(existsSync(`${path(3)}.new-3-0123456789ab`) && existsSync(path(1)), "looking removes nothing");
    assert.deepEqual((await roomToMake(place, 4096)).beyond, { count: 0, bytes: 0 });
    // The file system counts whole blocks.
    assert.deepEqual(await makeRoom(place, 0), { removed: 0, left: 2 * 4096 });
    assert.ok(!existsSync(`${path(4)}.lock`), "the lock of an archive that was never made");
    assert.deepEqual(files(), [
      `docker-archive-${idOf(1)}`,
      `docker-archive-${idOf(2)}.new-2-0123456789ab`,
      "notes.txt",
    ]);
    for (const locking of locks) if (locking.kind === "held") locking.lock.release();
  });

  test("keeps every promise while many jobs use and remove at once", async () => {
    const { job, path, files } = makeCache('echo $ID > "$OUT"');
    let missed = 0;
    const work = async (number: number) => {
      for (let round = 0; round < 6; round += 1) {
        const image = (number + round) % 4;
        const user = job(number * 100 + round + 1, { limitBytes: 4096 });
        await user.provide(image);
        for (let look = 0; look < 5; look += 1) {
          if (!existsSync(path(image))) missed += 1;
          await pause(5);
        }
        user.end();
      }
    };
    await Promise.all([1, 2, 3, 4, 5, 6].map(work));
    assert.equal(missed, 0, "an archive in use was out of sight");
    assert.ok(
      files().every((name) => !name.includes(".")),
      files().join(),
    );
  });
});
