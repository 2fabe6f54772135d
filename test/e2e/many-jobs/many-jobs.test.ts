import assert from "node:assert/strict";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { quietUser, testUser, type User } from "../../harness/machine.ts";
import { difference, snapshot } from "../../harness/snapshot.ts";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";

const quiet = quietUser();
const skip = quiet === undefined && "others may use our own account meanwhile";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("many-jobs", quiet ?? testUser());
});
after(() => jobs.close());

const image = "localhost/jacamar-busybox";
const count = 20;
const atOnce = 4;

/** What becomes of a job. */
type Fate = "passes" | "fails" | "is cancelled" | "is cancelled in prepare" | "leaves a daemon";
const fates: readonly Fate[] = [
  "passes",
  "fails",
  "passes",
  "is cancelled",
  "leaves a daemon",
  "is cancelled in prepare",
  "passes",
];

/** One job as GitLab Runner calls it, from its first stage to its last. Returns the exit code that decided. */
async function play(job: AnyJob, fate: Fate): Promise<number | undefined> {
  assert.equal((await job.config()).exitCode, 0);
  const preparing = job.startPrepare();
  if (fate === "is cancelled in prepare") {
    await new Promise((resolve) => setTimeout(resolve, 150 + Math.random() * 200));
    preparing.killGroup("SIGTERM");
  }
  const prepare = await preparing.done;
  let code = prepare.exitCode;
  if (prepare.exitCode === 0 && prepare.signal === undefined) {
    const project = `${job.answer.builds_dir}/${job.slug}`;
    const sources = `mkdir -p '${project}' '${project}.tmp'; echo secret > '${project}.tmp/FILE'; echo ${job.id} > '${project}/id'`;
    assert.equal((await job.run("get_sources", job.exporting(sources))).exitCode, 0);
    const bodies: Record<Fate, string> = {
      passes: `cat '${project}/id'`,
      fails: "exit 3",
      "leaves a daemon": "(setsid sleep 331 &) ; true",
      "is cancelled": "sleep 332 & trap 'echo trapped' TERM; echo ready; sleep 333",
      "is cancelled in prepare": "true",
    };
    const running = job.start("build_script", job.exporting(bodies[fate]));
    if (fate === "is cancelled") {
      await running.until("ready");
      running.killGroup("SIGTERM");
    }
    const run = await running.done;
    code = run.exitCode;
    if (fate === "passes") assert.equal(run.stdout, `${job.id}\n`, run.stderr);
    if (fate === "is cancelled") assert.equal(code, 2, logOf(run));
    else assert.equal((await job.run("after_script", job.exporting("echo after"))).stdout, "after\n");
  }
  const cleanup = await job.cleanup();
  assert.equal(cleanup.exitCode, 0, logOf(cleanup));
  job.remove();
  return code;
}

describe("twenty jobs of one user, four at a time", { skip }, () => {
  it("on the host and in containers, some failing, some cancelled, leave nothing behind", async () => {
    const { user } = jobs;
    // What exists once for all jobs of a user is there after the first one.
    await play(jobs.job({ image, general: 'kill_timeout = "5s"' }), "passes");
    const lookedAt = () => snapshot(user, [jobs.dataDir, ...ownedByUser(user)]);
    const earlier = await lookedAt();

    const results: (number | undefined)[] = [];
    let next = 0;
    await Promise.all(
      Array.from({ length: atOnce }, async (_, slot) => {
        while (next < count) {
          const index = next;
          next += 1;
          const job = jobs.job({ slot, general: 'kill_timeout = "5s"', ...(index % 3 === 0 ? {} : { image }) });
          results[index] = await play(job, fates[index % fates.length] ?? "passes");
        }
      }),
    );

    assert.equal(results.length, count);
    for (const [index, code] of results.entries()) {
      const fate = fates[index % fates.length];
      if (fate === "passes" || fate === "leaves a daemon") assert.equal(code, 0, `job ${index}`);
      if (fate === "fails") assert.equal(code, 1, `job ${index}`);
      if (fate === "is cancelled") assert.equal(code, 2, `job ${index}`);
    }
    let left: string[] = [];
    for (let attempt = 0; attempt < 20; attempt += 1) {
      left = difference(earlier, await lookedAt()).filter((line) => !isMeantToStay(line));
      if (left.length === 0) break;
      // Podman's own cleaning up after a container may take a moment.
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    assert.deepEqual(left, []);
  });
});

/** Work trees, caches, and the empty directories that lead to the scripts of a slot's projects. */
function isMeantToStay(line: string): boolean {
  const file = /^[+-] file (.*)$/.exec(line)?.[1];
  if (file === undefined) return false;
  const { dataDir } = jobs;
  if (file.includes(".tmp/") || file.endsWith(".tmp")) return false;
  if (file.startsWith(`${dataDir}/builds/`) || file.startsWith(`${dataDir}/cache/`)) return true;
  return /^\/scripts\/(?:tEsT-runN\/(?:\d{3}\/(?:group\/(?:demo\/)?)?)?)?$/.test(file.slice(dataDir.length));
}

/** What is the user's in places that all users share, one level deep, and in the home but for Podman's store. */
function ownedByUser({ uid, home }: User): string[] {
  const own = ["/tmp", "/var/tmp", "/dev/shm"].flatMap((place) =>
    readdirSync(place)
      .map((name) => join(place, name))
      // The runner's own directories are the harness's to remove.
      .filter((path) => lstatSync(path, { throwIfNoEntry: false })?.uid === uid && !path.includes("custom-executor")),
  );
  const inHome = readdirSync(home).filter((name) => ![".local", ".cache"].includes(name));
  return [...own, ...inHome.map((name) => join(home, name)).filter((path) => path !== jobs.dataDir)];
}

describe("jobs of one project", () => {
  it("work right one after the other", async () => {
    for (let round = 0; round < 3; round += 1) {
      assert.equal(await play(jobs.job({ image }), "passes"), 0);
      assert.equal(await play(jobs.job(), "passes"), 0);
    }
  });

  it("work at once in different slots, each in a work tree of its own, with one cache", async () => {
    const pair = [jobs.job({ image, slot: 5 }), jobs.job({ image, slot: 6 })] as const;
    const [first, second] = pair;
    await Promise.all(pair.map((job) => job.ready()));
    const trees = pair.map((job) => job.answer.builds_dir);
    assert.deepEqual(
      trees.map((path) => path.slice(-4)),
      ["/005", "/006"],
    );
    const runs = await Promise.all(
      pair.map((job, index) => {
        const project = `${job.answer.builds_dir}/${job.slug}`;
        const cache = `${job.answer.cache_dir}/${job.slug}`;
        return job.run(
          "build_script",
          `mkdir -p '${project}'; cd '${project}'; echo ${index} > same-name; sleep 1; cat same-name
          echo ${index} > '${cache}/from-${index}'; ls '${trees[1 - index]}' 2>/dev/null || echo no other tree`,
        );
      }),
    );
    assert.deepEqual(
      runs.map(({ stdout }) => stdout),
      ["0\nno other tree\n", "1\nno other tree\n"],
    );
    for (const index of [0, 1]) {
      assert.equal(readFileSync(`${jobs.dataDir}/cache/group/demo/from-${index}`, "utf8"), `${index}\n`);
    }
    // Cleaning up after one must not touch the other.
    const running = second.start("after_script", "echo ready; sleep 1; echo still here");
    await running.until("ready");
    assert.equal((await first.cleanup()).exitCode, 0);
    const still = await running.done;
    assert.equal(still.stdout, "ready\nstill here\n", still.stderr);
    assert.equal((await second.cleanup()).exitCode, 0);
  });
});
