import assert from "node:assert/strict";
import { chownSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TestJob } from "../../harness/job.ts";
import { asUser, type Running, startAsUser, testUser } from "../../harness/machine.ts";
import { childrenOf, type Door, doors, makePlace, type Place, skip } from "./support/place.ts";

const user = testUser();
const secret = "must-not-reach-a-job";

/** What a process of the user's can get of another process; each line that it prints is a success. */
const attack = `
for file in environ mem maps io auxv; do
  if head -c 1 "/proc/$1/$file" > /dev/null 2> /tmp/jacamar-attack.$$; then echo "read $file"; fi
  # Memory at address 0 is not mapped: getting as far as reading it is a success, too.
  if grep -q "Input/output error" /tmp/jacamar-attack.$$; then echo "read $file"; fi
done
if ls "/proc/$1/fd" > /dev/null 2>&1; then echo "list fd"; fi
if ls "/proc/$1/cwd/" > /dev/null 2>&1; then echo "enter cwd"; fi
if timeout 2 strace -p "$1" -o /dev/null 2>&1 | grep -q attached; then echo "attach strace"; fi
if timeout 5 gdb -batch -nx -p "$1" -ex 'info proc' 2>&1 | grep -q '^process'; then echo "attach gdb"; fi
rm -f /tmp/jacamar-attack.$$
kill -USR1 "$1" 2> /dev/null && sleep 0.3
if curl --silent --max-time 2 http://127.0.0.1:9229/json | grep -q webSocketDebuggerUrl; then echo "open debugger"; fi
`;

describe("while a script runs, a process of the user's", { skip }, () => {
  let place: Place;
  before(async () => {
    place = await makePlace("hostile");
  });
  after(() => place.remove());

  it("can attack at all: its own processes are open to it", async () => {
    const own = startAsUser(user, ["sleep", "60"]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const gained = await attackOn(own.pid);
    own.killGroup("SIGKILL");
    for (const one of ["read environ", "read mem", "list fd", "attach strace", "attach gdb"])
      assert.ok(gained.includes(one), gained.join(", "));
    const node = startAsUser(user, [place.stage.node, "--eval", "setTimeout(() => {}, 60_000)"]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const gainedOfNode = await attackOn(node.pid);
    node.killGroup("SIGKILL");
    await node.done;
    assert.ok(gainedOfNode.includes("open debugger"), gainedOfNode.join(", "));
  });

  for (const door of ["setuid as root", "setuid with capabilities"] as const) {
    it(`gets nothing of the driver by ${door}, which is the user's process too`, async () => {
      const { job, running } = await startScript(door);
      try {
        const driver = door === "setuid as root" ? running.pid : onlyChild(running.pid);
        assert.equal(uidOf(driver), user.uid);
        assert.deepEqual(await attackOn(driver), []);
        if (driver !== running.pid) {
          assert.equal(uidOf(running.pid), place.service.uid);
          assert.deepEqual(await attackOn(running.pid), []);
        }
      } finally {
        await endScript(job, running);
      }
    });
  }

  it("reads the process that sudo starts for it, where nothing of the runner's own is, and no other", async () => {
    const { job, running } = await startScript("sudo");
    try {
      const chain = descendants(running.pid);
      const drivers = chain.filter((pid) => uidOf(pid) === user.uid && commandOf(pid).includes("--handover"));
      const ours = [running.pid, ...chain.filter((pid) => uidOf(pid) !== user.uid)];
      assert.equal(drivers.length, 1);
      for (const pid of ours) assert.deepEqual(await attackOn(pid), [], commandOf(pid));
      const [driver = 0] = drivers;
      const gained = await attackOn(driver);
      assert.ok(gained.includes("read environ"), "SECURITY.md says that it can be read");
      assert.equal(gained.includes("open debugger"), false, "which would be open to every user");
      const memory = await asUser(user, ["gcore", "-o", `${user.home}/.jacamar-core`, String(driver)], {
        timeoutSeconds: 60,
      });
      const core = `${user.home}/.jacamar-core.${driver}`;
      assert.ok(existsSync(core), memory.stderr);
      const bytes = readFileSync(core);
      rmSync(core);
      assert.ok(bytes.includes(job.token), "the control: the job's own token is in its memory");
      assert.equal(bytes.includes(secret), false);
      assert.equal(bytes.includes(place.gitlab.url), true);
    } finally {
      await endScript(job, running);
    }
  });

  for (const door of doors) {
    it(`finds nothing of the runner's environment in a job by ${door}`, async () => {
      const job = place.job(door);
      const { run } = await job.whole("env; cat /proc/self/environ; cat /proc/$PPID/environ || true");
      assert.equal(run.exitCode, 0, run.stdout + run.stderr);
      assert.equal(run.stdout.includes(secret), false);
      assert.equal(run.stdout.includes("SECRET_OF_THE_RUNNER"), false);
      job.remove();
    });

    it(`gets no descriptor that the runner left open by ${door}`, async () => {
      const name = door.replaceAll(" ", "-");
      const file = join(place.stage.directory, `secret-for-${name}`);
      writeFileSync(file, "secret\n", { mode: 0o600 });
      if (door !== "setuid as root") chownSync(file, place.service.uid, place.service.gid);
      const leaking = join(place.stage.directory, `leaking-${name}`);
      const driver = `exec "${place.stage.jacamar}-auth" "$@"`;
      writeFileSync(leaking, `#!/bin/bash\nexec 5<"${file}" 6<&5 77<&5\n${driver}\n`, { mode: 0o755 });
      const job = place.job(door, { jacamar: leaking });
      const { prepare, run } = await job.whole(
        'cat <&5 || true; cat <&6 || true; cat <&77 || true; for fd in /proc/self/fd/*; do readlink "$fd" || true; done',
      );
      assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
      assert.match(run.stderr, /5: Bad file descriptor/);
      assert.match(run.stderr, /6: Bad file descriptor/);
      assert.match(run.stderr, /77: Bad file descriptor/);
      assert.equal(run.stdout.includes("secret"), false, run.stdout);
      job.remove();
    });
  }

  async function startScript(door: Door): Promise<{ job: TestJob; running: Running }> {
    const job = place.job(door);
    await job.config();
    const prepare = await job.prepare();
    assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
    const running = job.start("build_script", "echo started; until [ -e ~/.jacamar-end ]; do sleep 0.1; done");
    await running.until("started");
    return { job, running };
  }

  async function endScript(job: TestJob, running: Running): Promise<void> {
    writeFileSync(`${user.home}/.jacamar-end`, "");
    await running.done;
    rmSync(`${user.home}/.jacamar-end`);
    await job.cleanup();
    job.remove();
  }
});

async function attackOn(pid: number): Promise<string[]> {
  const { stdout } = await asUser(user, ["bash", "-c", attack, "-", String(pid)]);
  return stdout.split("\n").filter((line) => line !== "");
}

function onlyChild(pid: number): number {
  const [child, ...others] = childrenOf(pid);
  assert.ok(child !== undefined && others.length === 0);
  return child;
}

function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

function uidOf(pid: number): number {
  return Number(/^Uid:\s+\d+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
}
