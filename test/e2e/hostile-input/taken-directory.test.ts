import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { asUser, otherUser, type Running, startAsUser, type User } from "../../harness/machine.ts";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";

/** Somebody who has an account here, and takes a directory of another's jobs before its owner has it. */
const attacker = otherUser();
const skip = attacker === undefined && "it takes root to act as two users";
const root: User = { name: "root", uid: 0, gid: 0, home: "/root" };

let jobs: Jobs;
/** A data_dir in which, as in /tmp, everybody makes their own directory. */
let place = "";
/** Where a program of the attacker's tells as whom it ran. */
let told = "";
/** A process of the victim's that has nothing to do with any job. */
let bystander: Running;

before(() => {
  jobs = new Jobs("taken");
});
after(() => jobs.close());
beforeEach(async () => {
  place = mkdtempSync("/var/tmp/jacamar-e2e-taken-");
  chmodSync(place, 0o1777);
  told = join(place, "told");
  bystander = startAsUser(jobs.user, ["sh", "-c", "echo up; exec sleep 300"]);
  await bystander.until("up", 30);
});
afterEach(async () => {
  bystander.killGroup("SIGKILL");
  await bystander.done;
  rmSync(place, { recursive: true, force: true });
});

/** Makes files as the attacker, each with its text, and the directories above them. */
async function plant(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    const script = 'umask 022; mkdir -p "$(dirname "$1")"; printf "%s" "$2" >"$1"; chmod 755 "$1"';
    const made = await asUser(attacker ?? root, ["sh", "-c", script, "-", path, text], { cwd: "/" });
    assert.equal(made.exitCode, 0, logOf(made));
  }
}

/** What a prepare stage leaves for the later ones, with programs of the attacker's, and with a living process to be ended. */
async function plantJob(privateDir: string, key: string): Promise<void> {
  const programs = join(place, "programs");
  const spy = `#!/bin/sh\nid -un >>${told}\necho "[]"\n`;
  const names = ["podman", "sbatch", "squeue", "scancel", "mkfifo"];
  await plant({
    ...Object.fromEntries(names.map((name) => [join(programs, name), spy])),
    [told]: "",
    [join(privateDir, "prepared.json")]: JSON.stringify({
      environment: { PATH: `${programs}:/usr/bin:/bin`, HOME: jobs.user.home },
      runtimeDirectory: `/run/user/${jobs.user.uid}`,
    }),
    [join(privateDir, "sessions")]: `${bystander.pid} ${startTime(bystander.pid)}\n`,
    [join(privateDir, "life")]: `${key} ${hostname()}/4194305/1/1\n`,
  });
  chmodSync(told, 0o666);
}

function startTime(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function assertNothingRan(log: string): void {
  assert.equal(readFileSync(told, "utf8"), "", `a program of another user ran as the victim\n${log}`);
  assert.ok(existsSync(`/proc/${bystander.pid}`), `a process that is no job's was ended\n${log}`);
}

describe("a stranger who takes a user's directory in data_dir first", { skip }, () => {
  for (const executor of ["shell", "slurm"]) {
    it(`gets nothing run or ended by a refused job, with the executor ${executor}`, async () => {
      const job = jobs.job({ dataDir: place, image: "localhost/jacamar-demo", executor });
      assert.equal((await job.config()).exitCode, 0);
      await plantJob(job.directoryOf("privateDir"), keyOf(job));
      const prepare = await job.prepare();
      assert.equal(prepare.exitCode, 2, logOf(prepare));
      assert.match(prepare.stderr, /belongs to the account number \d+, not to you/);
      assertNothingRan(logOf(prepare));
      const cleanup = await job.cleanup();
      assertNothingRan(logOf(cleanup));
    });
  }

  it("gets nothing run or ended by jacamar reap", async () => {
    const key = `77-${"a".repeat(12)}`;
    const base = join(place, jobs.user.name);
    await plantJob(`${base}/scripts/tEsT-runN/000/group/demo/77.private`, key);
    const configuration = join(place, "jacamar.toml");
    writeFileSync(
      configuration,
      `[general]\nexecutor = "shell"\ndata_dir = ${JSON.stringify(place)}\nrun_mechanism = "podman"\n`,
    );
    chmodSync(configuration, 0o644);
    for (const whose of [["--user", jobs.user.name], ["--all-users"]]) {
      const argv = [jobs.stage.jacamar, "reap", "--configuration", configuration, "--yes", ...whose];
      const reaped = await asUser(root, argv, { cwd: "/" });
      assertNothingRan(logOf(reaped));
      assert.match(logOf(reaped), /belongs to the account number \d+/);
      assert.equal(reaped.exitCode, 1, logOf(reaped));
    }
    assert.equal(statSync(base).uid, attacker?.uid);
  });
});

describe("a stranger who makes thousands of directories beside those of the users", { skip }, () => {
  it("does not keep jacamar reap from any of them", async () => {
    const script = 'cd "$1" && seq -f "name-%.0f" 5000 | xargs mkdir';
    const made = await asUser(attacker ?? root, ["sh", "-c", script, "-", place], { cwd: "/" });
    assert.equal(made.exitCode, 0, logOf(made));
    const own = await asUser(jobs.user, ["mkdir", "-m", "0700", join(place, jobs.user.name)], { cwd: "/" });
    assert.equal(own.exitCode, 0, logOf(own));
    const configuration = join(place, "jacamar.toml");
    writeFileSync(configuration, `[general]\nexecutor = "shell"\ndata_dir = ${JSON.stringify(place)}\n`, {
      mode: 0o644,
    });
    const argv = [jobs.stage.jacamar, "reap", "--configuration", configuration, "--all-users"];
    const seen = await asUser(
      root,
      ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=execve", "-o", join(place, "calls"), ...argv],
      {
        cwd: "/",
      },
    );
    assert.equal(seen.stdout, `Nothing is left of dead jobs of ${jobs.user.name}\n`, logOf(seen));
    const asked = readFileSync(join(place, "calls"), "latin1").match(/execve\("[^"]*getent"/g) ?? [];
    assert.ok(asked.length > 0 && asked.length < 50, `the name service was asked ${asked.length} times`);
  });
});

describe("a stranger who takes /tmp/jacamar-ci-UID first", { skip }, () => {
  it("does not become the runtime directory of jacamar reap's Podman", async () => {
    // The accounts change places: the test's own user has such a directory already.
    const victim = attacker ?? root;
    const taken = `/tmp/jacamar-ci-${victim.uid}`;
    rmSync(taken, { recursive: true, force: true });
    mkdirSync(taken, { mode: 0o700 });
    chownSync(taken, jobs.user.uid, jobs.user.gid);
    try {
      const configuration = join(place, "jacamar.toml");
      const podman = join(place, "podman");
      writeFileSync(podman, `#!/bin/sh\necho "$XDG_RUNTIME_DIR" >>${told}\necho "[]"\n`);
      chmodSync(podman, 0o755);
      writeFileSync(told, "");
      chmodSync(told, 0o666);
      writeFileSync(
        configuration,
        `[general]\nexecutor = "shell"\ndata_dir = "$HOME/.no-jobs"\nrun_mechanism = "podman"\n[general.podman]\napplication_path = ${JSON.stringify(podman)}\n`,
      );
      const argv = [jobs.stage.jacamar, "reap", "--configuration", configuration, "--yes", "--user", victim.name];
      const reaped = await asUser(root, argv, { cwd: "/" });
      assert.equal(reaped.exitCode, 0, logOf(reaped));
      assert.equal(readFileSync(told, "utf8"), "");
    } finally {
      rmSync(taken, { recursive: true, force: true });
    }
  });
});

function keyOf(job: AnyJob): string {
  const key = /"jobKey":"([^"]+)"/.exec(job.answer.job_env["JACAMAR_CI_STATE"] ?? "")?.[1];
  assert.ok(key !== undefined);
  return key;
}
