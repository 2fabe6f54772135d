import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TestJob } from "../../harness/job.ts";
import { type Ended, testUser } from "../../harness/machine.ts";
import { makeOpenDirectory, makePlace, type Place, skip } from "./support/place.ts";
import { type Call, readTrace } from "./support/trace.ts";

const user = testUser();

/** How the runner's directories begin that only its own account can enter. */
const runnerDirectories = "/var/tmp/custom-executor";

/** A stage of a job that ran under strace. */
interface TracedStage {
  readonly name: string;
  readonly calls: readonly Call[];
  /** Where in `calls` the driver's process becomes the user; -1 where it never does. */
  readonly door: number;
}

describe("jacamar-auth as root, by its system calls", { skip }, () => {
  let place: Place;
  let shared: string;
  const stages: TracedStage[] = [];

  before(async () => {
    place = await makePlace("trace");
    shared = makeOpenDirectory(join("/var/tmp", "jacamar-e2e-trace"), 0o755);
    const rooted = { dataDir: shared, auth: "root_dir_creation = true" };
    const host = tracedJob({});
    await trace("host", host, "touch in-the-work-tree; cat /etc/hostname");
    await trace("container", tracedJob({ image: "localhost/jacamar-demo:latest" }), "cat /etc/os-release");
    await trace("root_dir_creation", tracedJob(rooted), "true");
  });
  after(async () => {
    await place.remove();
    rmSync(shared, { recursive: true, force: true });
  });

  it("finds the door in every stage but config, where there is none", () => {
    assert.equal(stages.length, 12);
    for (const { name, door } of stages) assert.equal(door === -1, name.endsWith(" config"), name);
  });

  it("touches nothing of the user's before the door, and nothing at all in the config stage", () => {
    for (const { name, calls, door } of stages) {
      const before = door === -1 ? calls : calls.slice(0, door);
      const touched = before.filter(({ paths }) => paths.some((path) => isUsers(path)));
      if (name === "root_dir_creation config") {
        // The one thing that root does: making the empty directory, giving it away, and looking at it.
        assert.deepEqual([...new Set(touched.map(({ name: call }) => call))].toSorted(), expectedOfRoot, name);
        continue;
      }
      assert.deepEqual(
        touched.map(({ line }) => line),
        [],
        name,
      );
    }
  });

  it("opens nothing of the runner's directory after the door", () => {
    for (const { name, calls, door } of stages) {
      if (door === -1) continue;
      const later = calls.slice(door).filter(({ name: call, paths }) => {
        // The exit code is written to a file that was opened before.
        const isOpen = call === "write" || call === "close";
        return !isOpen && paths.some((path) => path.startsWith(runnerDirectories));
      });
      assert.deepEqual(
        later.map(({ line }) => line),
        [],
        name,
      );
    }
  });

  it("is refused nothing after the door for want of root's rights, but its own attempts to go back", () => {
    for (const { name, calls, door } of stages) {
      if (door === -1) continue;
      const driver = calls[door]?.pid;
      // Podman maps ids and mounts: what it tries in a user namespace is its own business. The driver's is all here.
      const ours = name.startsWith("container")
        ? calls.filter(({ pid, thread }) => pid === driver || thread === driver)
        : calls;
      const refused = ours.filter(({ index, error }) => index > door && (error === "EACCES" || error === "EPERM"));
      const attempts = refused.filter(isAttemptToGoBack);
      const others = refused.filter((call) => !isAttemptToGoBack(call) && !isLookForProcesses(call));
      assert.deepEqual(
        others.map(({ line }) => line),
        [],
        name,
      );
      assert.ok(attempts.length >= 5, `${name}: ${attempts.length} attempts`);
    }
  });

  it("changes the ids of every thread, the groups first", () => {
    for (const { name, calls, door } of stages) {
      if (door === -1) continue;
      const driver = calls[door]?.pid;
      const order = calls
        .filter(({ index, pid }) => pid === driver && index <= door)
        .filter(({ name: call }) => /^set(groups|gid|uid)$/.test(call))
        .map(({ name: call }) => call);
      assert.deepEqual(order, ["setgroups", "setgid", "setuid"], name);
      const threads = new Set(
        calls.filter(({ index, thread }) => thread === driver && index < door).map(({ pid }) => pid),
      );
      for (const thread of threads) {
        const changed = calls.some(
          ({ pid, name: call, line, error }) =>
            pid === thread && call === "setuid" && line.includes(`(${user.uid})`) && error === undefined,
        );
        assert.ok(changed, `${name}: thread ${thread}`);
      }
    }
  });

  function tracedJob(options: Parameters<Place["job"]>[1]): TestJob {
    const traced = join(place.stage.directory, "traced");
    const calls = "%file,%creds,%network,open,openat,creat,fchmod,fchown,write,close,clone,clone3,vfork,fork";
    const strace = `strace -f -y -s 300 -e trace=${calls} -o "$dir/$$"`;
    writeFileSync(
      traced,
      `#!/bin/sh\ndir=${place.stage.directory}/traces\nexec ${strace} "${place.stage.jacamar}-auth" "$@"\n`,
      { mode: 0o755 },
    );
    makeOpenDirectory(join(place.stage.directory, "traces"), 0o700);
    return place.job("setuid as root", { jacamar: traced, ...options });
  }

  async function trace(name: string, job: TestJob, body: string): Promise<void> {
    await stageOf(`${name} config`, () => job.config());
    await stageOf(`${name} prepare`, () => job.prepare());
    await stageOf(`${name} run`, () => job.run("build_script", body));
    await stageOf(`${name} cleanup`, () => job.cleanup());
    job.remove();
  }

  async function stageOf(name: string, run: () => Promise<Ended>): Promise<void> {
    const directory = join(place.stage.directory, "traces");
    const ended = await run();
    assert.equal(ended.exitCode, 0, `${name}: ${ended.stdout}${ended.stderr}`);
    const [file, ...others] = readdirSync(directory);
    assert.ok(file !== undefined && others.length === 0);
    const calls = readTrace(readFileSync(join(directory, file), "utf8"));
    rmSync(join(directory, file));
    const door = calls.findIndex(
      (call) => call.name === "setuid" && call.pid === calls[0]?.pid && call.line.includes(`(${user.uid})`),
    );
    stages.push({ name, calls, door });
  }

  function isUsers(path: string): boolean {
    const places = [user.home, place.dataDir, join(shared, user.name), `/run/user/${user.uid}`];
    return [...places, `/tmp/jacamar-ci-${user.uid}`].some((one) => path === one || path.startsWith(`${one}/`));
  }
});

/** mkdir, lchown and lstat, by the names that the kernel knows. */
const expectedOfRoot = ["lchown", "mkdir", "statx"];

function isAttemptToGoBack({ name, line }: Call): boolean {
  return /^set(re|res)?[ug]id$/.test(name) ? /\b0\b/.test(line) : name === "setgroups";
}

/** Cleanup looks for processes of the job among all of the user's, some of which are closed even to the user. */
function isLookForProcesses({ line }: Call): boolean {
  return /"\/proc\/\d+\/environ"/.test(line);
}
