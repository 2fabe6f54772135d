import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TestJob } from "../../harness/job.ts";
import { type Ended, testUser } from "../../harness/machine.ts";
import { doors, makeOpenDirectory, makePlace, type Place, skip } from "./support/place.ts";
import { becomes, type Call, readTrace } from "./support/trace.ts";

const user = testUser();

/** How the runner's directories begin that only its own account can enter. */
const runnerDirectories = "/var/tmp/custom-executor";

/** A stage of a job that ran under strace. */
interface TracedStage {
  readonly name: string;
  readonly calls: readonly Call[];
}

for (const [number, door] of doors.entries()) {
  describe(`jacamar-auth by ${door}, by its system calls`, { skip }, () => {
    let place: Place;
    let shared: string;
    const stages: TracedStage[] = [];

    before(async () => {
      place = await makePlace(`trace-${number}`);
      shared = makeOpenDirectory(join("/var/tmp", `jacamar-e2e-trace-${number}`), 0o755);
      await trace("host", tracedJob({}), "touch in-the-work-tree; cat /etc/hostname");
      await trace("container", tracedJob({ image: "localhost/jacamar-demo:latest" }), "cat /etc/os-release");
      if (door !== "setuid as root") return;
      const record = '[record]\nlocation = "$DATA_DIR/record/jobs.jsonl"';
      await trace("record", tracedJob({ podman: record }), "true");
      await trace("root_dir_creation", tracedJob({ dataDir: shared, auth: "root_dir_creation = true" }), "true");
    });
    after(async () => {
      await place.remove();
      rmSync(shared, { recursive: true, force: true });
    });

    it("finds the door in every stage but config, where there is none", () => {
      assert.equal(stages.length, door === "setuid as root" ? 16 : 8);
      for (const { name, calls } of stages) {
        assert.equal(
          calls.some(({ isUsers }) => isUsers),
          !name.endsWith(" config"),
          name,
        );
      }
    });

    it("touches nothing of the user's before the door, and nothing at all in the config stage", () => {
      for (const { name, calls } of stages) {
        const touched = calls.filter(({ isUsers, paths }) => !isUsers && paths.some(isOfUser));
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
      for (const { name, calls } of stages) {
        const later = calls.filter(({ isUsers, name: call, paths }) => {
          // The exit code is written to a file that was opened before.
          const isOpen = call === "write" || call === "close";
          return isUsers && !isOpen && paths.some((path) => path.startsWith(runnerDirectories));
        });
        assert.deepEqual(
          later.map(({ line }) => line),
          [],
          name,
        );
      }
    });

    it("is refused nothing after the door for want of root's rights, but its own attempts to go back", () => {
      for (const { name, calls } of stages.filter((stage) => !stage.name.endsWith(" config"))) {
        // Podman maps ids and mounts: what it tries in a user namespace is its own business. The driver's is all here.
        const ours = name.startsWith("container") ? calls.filter(({ thread }) => isDriver(calls, thread)) : calls;
        const refused = ours.filter(({ isUsers, error }) => isUsers && (error === "EACCES" || error === "EPERM"));
        const attempts = refused.filter(isAttemptToGoBack);
        const others = refused.filter((call) => !isAttemptToGoBack(call) && !isLookForProcesses(call));
        assert.deepEqual(
          others.map(({ line }) => line),
          [],
          name,
        );
        // With sudo the process is the user's from its beginning, and has nothing to prove.
        if (door !== "sudo") assert.ok(attempts.length >= 5, `${name}: ${attempts.length} attempts`);
      }
    });

    if (door !== "sudo") {
      it("changes the ids of every thread, the groups first", () => {
        for (const { name, calls } of stages.filter((stage) => !stage.name.endsWith(" config"))) {
          const opening = calls.find(({ pid, thread, line }) => pid === thread && becomes(line, user.uid));
          assert.ok(opening !== undefined, name);
          const own = calls.filter(({ index, thread }) => thread === opening.thread && index <= opening.index);
          const order = own
            .filter(({ pid, name: call }) => pid === opening.pid && /^set(groups|gid|uid)$/.test(call))
            .map(({ line }) => line.replace(/\(.*/, ""));
          // From a service account it goes by way of root, so that the kernel clears the capabilities.
          const first: readonly string[] = door === "setuid as root" ? [] : ["setuid"];
          assert.deepEqual(order, [...first, "setgroups", "setgid", "setuid"], name);
          for (const thread of new Set(own.map(({ pid }) => pid))) {
            const changed = calls.some(({ pid, line }) => pid === thread && becomes(line, user.uid));
            assert.ok(changed, `${name}: thread ${thread}`);
          }
        }
      });
    }

    function tracedJob(options: Parameters<Place["job"]>[1]): TestJob {
      const traced = join(place.stage.directory, "traced");
      const calls = "%file,%creds,%network,open,openat,creat,fchmod,fchown,write,close,clone,clone3,vfork,fork";
      // Only so do file capabilities and sudo's set-user-id bit count.
      const runner = door === "setuid as root" ? "" : `-u ${place.service.name}`;
      const strace = `strace -f -y --decode-pids=pidns -s 300 ${runner} -e trace=${calls} -o "$dir/$$"`;
      writeFileSync(
        traced,
        `#!/bin/sh\ndir=${place.stage.directory}/traces\nexec ${strace} "${place.stage.jacamar}-auth" "$@"\n`,
        { mode: 0o755 },
      );
      makeOpenDirectory(join(place.stage.directory, "traces"), 0o700);
      return place.job(door, { jacamar: traced, startedByRoot: true, ...options });
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
      stages.push({ name, calls: readTrace(readFileSync(join(directory, file), "utf8"), user.uid) });
      rmSync(join(directory, file));
    }

    function isOfUser(path: string): boolean {
      const places = [user.home, place.dataDir, join(shared, user.name), `/run/user/${user.uid}`];
      return [...places, `/tmp/jacamar-ci-${user.uid}`].some((one) => path === one || path.startsWith(`${one}/`));
    }
  });
}

/** mkdir, lchown and lstat, by the names that the kernel knows. */
const expectedOfRoot = ["lchown", "mkdir", "statx"];

/** Whether a process is our own program. */
function isDriver(calls: readonly Call[], thread: number): boolean {
  return calls.some(
    (call) => call.thread === thread && /^execve\("[^"]*\/(?:node|node-auth|jacamar|jacamar-auth)"/.test(call.line),
  );
}

function isAttemptToGoBack({ name, line }: Call): boolean {
  return /^set(re|res)?[ug]id$/.test(name) ? /\b0\b/.test(line) : name === "setgroups";
}

/** Cleanup looks for processes of the job among all of the user's, some of which are closed even to the user. */
function isLookForProcesses({ line }: Call): boolean {
  return /"\/proc\/\d+\/environ"/.test(line);
}
