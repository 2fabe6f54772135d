import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { asUser, testUser, type User } from "../../harness/machine.ts";
import { doors, makeAccount, makePlace, type Place, removeAccount, skip } from "./support/place.ts";

const user = testUser();
const project = "jacamar-e2e-project";

for (const [number, door] of doors.entries()) {
  describe(`jacamar-auth by ${door}`, { skip }, () => {
    let place: Place;
    before(async () => {
      place = await makePlace(`doors-${number}`);
    });
    after(() => place.remove());

    it("runs a script on the host as the user, with the user's groups and no rights", async () => {
      const job = place.job(door);
      const { config, prepare, run, cleanup } = await job.whole(
        "id -un; id -G; grep -E '^(Uid|CapPrm|CapEff)' /proc/self/status; umask; exit 7",
      );
      assert.equal(config.exitCode, 0, config.stderr);
      assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
      const groups = execFileSync("id", ["-G", user.name], { encoding: "utf8" }).trim();
      assert.equal(run.exitCode, 1, run.stdout + run.stderr);
      assert.equal(job.buildExitCode(), "7\n");
      assert.ok(run.stdout.startsWith(`${user.name}\n${groups}\n`), run.stdout);
      assert.match(run.stdout, new RegExp(`Uid:\\s+${user.uid}\\s+${user.uid}\\s+${user.uid}\\s+${user.uid}\n`));
      assert.match(run.stdout, /CapPrm:\s+0+\nCapEff:\s+0+\n0077/);
      assert.equal(run.stderr, "");
      assert.equal(cleanup.exitCode, 0, cleanup.stderr);
      job.remove();
    });

    it("runs a script in a container of the user's, and reports its exit code where the user cannot go", async () => {
      const job = place.job(door, { image: "localhost/jacamar-demo:latest" });
      const { mode, uid } = statSync(job.directory);
      assert.deepEqual([mode & 0o777, uid === user.uid], [0o700, false]);
      const { prepare, run, cleanup } = await job.whole(
        `cat /etc/os-release; id -u; ls ${job.directory} || echo closed; exit 125`,
      );
      assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
      assert.match(run.stdout, /Jacamar demo image/);
      assert.match(run.stdout, /^0\r?\n.*closed/ms);
      assert.equal(run.exitCode, 1, run.stderr);
      assert.equal(job.buildExitCode(), "125\n");
      assert.equal(cleanup.exitCode, 0, cleanup.stderr);
      job.remove();
    });

    it("gives the user's further groups to a script, and to Podman with its containers", async () => {
      const member = makeMember(`jacamar-e2e-member-${number}`);
      try {
        const job = place.job(door, { user: member, dataDir: "$HOME/.ci" });
        const { prepare, run } = await job.whole("id -G");
        assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
        const groups = execFileSync("id", ["-G", member.name], { encoding: "utf8" });
        assert.match(groups, / /, "the control: there are more than one");
        assert.equal(run.stdout, groups);
        job.remove();

        const image = await importImage(member);
        const inside = place.job(door, { user: member, dataDir: "$HOME/.ci", image });
        await inside.config();
        const ready = await inside.prepare();
        assert.equal(ready.exitCode, 0, ready.stdout + ready.stderr);
        const running = inside.start("build_script", "echo started; sleep 60");
        await running.until("started");
        const wanted = groups.trim().split(" ").toSorted();
        assert.deepEqual(await groupsOfProcess("conmon", member.uid), wanted);
        const within = await groupsOfProcess("sleep", member.uid);
        assert.deepEqual(
          within.filter((gid) => !wanted.includes(gid)),
          [],
        );
        running.killGroup("SIGTERM");
        await running.done;
        const cleanup = await inside.cleanup();
        assert.equal(cleanup.exitCode, 0, cleanup.stderr);
        inside.remove();
      } finally {
        await removeMember(member);
      }
    });

    it("ends the script when the runner signals the stage", async () => {
      const job = place.job(door);
      await job.config();
      await job.prepare();
      const running = job.start(
        "build_script",
        "trap 'echo ended by TERM; exit 3' TERM; echo started; sleep 300 & wait",
      );
      await running.until("started");
      // As the runner does it, which may signal no process of the user's.
      const runner = door === "setuid as root" ? 0 : place.service.uid;
      execFileSync("setpriv", [`--reuid=${runner}`, "--clear-groups", "kill", "-TERM", "--", `-${running.pid}`]);
      const ended = await running.done;
      assert.match(ended.stdout, /ended by TERM/);
      assert.equal(ended.exitCode, 2, ended.stdout + ended.stderr);
      await job.cleanup();
      job.remove();
    });

    for (const [how, runnerFirst] of [
      ["is killed, and systemd ends all that it has started", true],
      ["asks the stage to end, and does not wait for that", false],
    ] as const) {
      it(`leaves nothing of a job whose runner ${how}`, async () => {
        const job = place.job(door, { mechanism: "none" });
        await job.config();
        await job.prepare();
        const scripts = job.directoryOf("scriptsDir");
        const script = "trap 'sleep 1; exit 3' TERM; echo started; sleep 300 & wait";
        const runner = job.start("build_script", script, [
          "sh",
          "-c",
          'trap : TERM; "$0" "$@" & while :; do wait; done',
        ]);
        await runner.until("started");
        if (runnerFirst) runner.kill("SIGKILL");
        runner.killGroup("SIGTERM");
        if (!runnerFirst) runner.kill("SIGKILL");
        runner.closeOutput();
        const end = Date.now() + 60_000;
        while ((existsSync(scripts) || existsSync(`${scripts}.private`)) && Date.now() < end) await pause(100);
        assert.deepEqual([existsSync(scripts), existsSync(`${scripts}.private`)], [false, false]);
        job.remove();
      });
    }

    it("refuses root, whatever the token says, with one line and an id", async () => {
      const job = place.job(door, { login: "root" });
      const config = await job.config();
      assert.equal(config.exitCode, 1);
      assert.match(config.stderr, /^ERROR: This job may not run here \(id [0-9a-f]{12}\)\n {2}The administrators find/);
      assert.equal(config.stdout, "");
      job.remove();
    });

    // What GitLab Runner 17.11 writes of a job: neither the pipeline (since 19.0) nor the project's path (since 18.5).
    const ofOlderRunner = {
      job_info: { name: "test", stage: "test", project_id: 17, project_name: "demo", time_in_queue_seconds: 1 },
    };

    it("refuses the token of another job", async () => {
      for (const response of [{}, ofOlderRunner]) {
        const job = place.job(door, { claims: { job_id: "1" }, response });
        const config = await job.config();
        assert.equal(config.exitCode, 1);
        assert.match(config.stderr, /^ERROR: This job may not run here/);
        job.remove();
      }
    });

    it("runs the job of a runner that does not hand over its pipeline and its project's path", async () => {
      const job = place.job(door, { mechanism: "none", response: ofOlderRunner });
      const { config, run, cleanup } = await job.whole("id -un");
      assert.equal(config.exitCode, 0, config.stderr);
      assert.equal(run.stdout, `${user.name}\n`);
      assert.equal(cleanup.exitCode, 0, cleanup.stderr);
      job.remove();
    });
  });
}

describe("jacamar-auth refuses to work where its door is not tight", { skip }, () => {
  let place: Place;
  before(async () => {
    place = await makePlace("untight");
  });
  after(() => place.remove());

  it("a service account's program without the capabilities of its file", async (test) => {
    if (place.stage.isPackaged) return test.skip("a package has no launcher that could start another Node.js");
    const plain = launcher("plain", "--disable-sigusr1");
    const job = place.job("setuid with capabilities", { jacamar: plain });
    const config = await job.config();
    assert.equal(config.exitCode, 0, config.stderr);
    const prepare = await job.prepare();
    assert.equal(prepare.exitCode, 2);
    assert.match(prepare.stderr, /cannot be given up: jacamar-auth is not root and has no cap_setgid\n/);
    job.remove();
  });

  it("a Node.js whose debugger a user could open with a signal", async (test) => {
    if (place.stage.isPackaged) return test.skip("a package has no launcher that could start another Node.js");
    const job = place.job("setuid as root", { jacamar: launcher("debugged", "--disable-warning=none") });
    const config = await job.config();
    assert.equal(config.exitCode, 0, config.stderr);
    const prepare = await job.prepare();
    assert.equal(prepare.exitCode, 2);
    assert.match(prepare.stderr, /the user could open Node's debugger in this process/);
    job.remove();
  });

  /** Starts the bundle of jacamar-auth with an option of Node's. */
  function launcher(name: string, option: string): string {
    const path = join(place.stage.directory, name);
    const bundle = join(place.stage.directory, "jacamar-auth.cjs");
    writeFileSync(path, `#!/bin/sh\nexec "${place.stage.node}" ${option} "${bundle}" "$@"\n`, { mode: 0o755 });
    return path;
  }
});

/** An account in a further group, that can use Podman as the test user can. */
function makeMember(name: string): User {
  execFileSync("groupadd", ["--force", project]);
  const member = makeAccount(name, ["--groups", project]);
  const own = join(user.home, ".config/containers");
  execFileSync("install", ["-d", "-o", name, "-g", String(member.gid), join(member.home, ".config")]);
  execFileSync("cp", ["-R", own, join(member.home, ".config/containers")]);
  execFileSync("sed", ["-i", `s|${user.home}/|${member.home}/|g`, ...filesIn(join(member.home, ".config/containers"))]);
  execFileSync("chown", ["-R", `${member.uid}:${member.gid}`, join(member.home, ".config")]);
  return member;
}

function filesIn(directory: string): string[] {
  const entries = readdirSync(directory, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function removeMember(member: User): Promise<void> {
  await asUser(member, ["podman", "unshare", "rm", "-rf", join(member.home, ".local"), join(member.home, ".ci")]);
  try {
    execFileSync("pkill", ["-KILL", "-U", String(member.uid)]);
  } catch {
    // Nothing of theirs is left, not even Podman's pause process.
  }
  removeAccount(member);
  execFileSync("groupdel", [project]);
  execFileSync("rm", ["-rf", `/tmp/jacamar-ci-${member.uid}`]);
}

async function importImage(member: User): Promise<string> {
  const archive = await asUser(user, [
    "podman",
    "save",
    "--quiet",
    "--output",
    "/var/tmp/jacamar-e2e-busybox.tar",
    "localhost/jacamar-busybox",
  ]);
  assert.equal(archive.exitCode, 0, archive.stderr);
  execFileSync("chmod", ["0644", "/var/tmp/jacamar-e2e-busybox.tar"]);
  const loaded = await asUser(member, ["podman", "load", "--quiet", "--input", "/var/tmp/jacamar-e2e-busybox.tar"]);
  assert.equal(loaded.exitCode, 0, loaded.stderr);
  execFileSync("rm", ["-f", "/var/tmp/jacamar-e2e-busybox.tar"]);
  return "localhost/jacamar-busybox";
}

/** The groups of a user's process of that name, sorted. It may still be about to start. */
async function groupsOfProcess(name: string, uid: number): Promise<string[]> {
  for (let look = 0; look < 200; look += 1) {
    const found = groupsNow(name, uid);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${name} of ${uid} does not run`);
}

function groupsNow(name: string, uid: number): string[] | undefined {
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      const [, real = ""] = /^Uid:\s+(\d+)/m.exec(status) ?? [];
      if (!status.startsWith(`Name:\t${name}\n`) || Number(real) !== uid) continue;
      const gid = /^Gid:\s+(\d+)/m.exec(status)?.[1] ?? "";
      const groups = /^Groups:[ \t]*(.*)$/m.exec(status)?.[1]?.trim().split(" ") ?? [];
      return [...new Set([gid, ...groups.filter((group) => group !== "")])].toSorted();
    } catch {
      // Gone meanwhile.
    }
  }
  return undefined;
}
