import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { asUser, type Ended, startAsUser, testUser, type User } from "../../harness/machine.ts";
import { makeAccount, makePlace, type Place, removeAccount, root, skip } from "./support/place.ts";
import { childrenOf } from "./support/place.ts";

const user = testUser();
const nonce = "0".repeat(32);

describe("whoever has taken over the service account of a runner", { skip }, () => {
  let place: Place;
  /** Files of the service account. */
  let own: string;
  /** An account of a service with a number above UID_MIN. */
  let daemon: User;
  /** What root alone could make. */
  let trophy: string;
  before(async () => {
    place = await makePlace("taken");
    own = join(place.service.home, "own");
    trophy = join(place.stage.directory, "trophy");
    mkdirSync(own);
    const ofService = ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "--home-dir", "/nonexistent"];
    daemon = makeAccount("jacamar-e2e-daemon", [...ofService, "--uid", "64931", "--user-group"]);
    chownSync(own, place.service.uid, place.service.gid);
  });
  after(async () => {
    removeAccount(daemon);
    await place.remove();
  });

  for (const door of ["capabilities", "sudo"] as const) {
    it(`cannot become root or an account of the system by ${door}, whatever is handed over`, async () => {
      const honest = place.job(door === "sudo" ? "sudo" : "setuid with capabilities");
      await honest.config();
      const state: unknown = JSON.parse(honest.environment["JACAMAR_CI_STATE"] ?? "");
      assert.ok(typeof state === "object" && state !== null && "identity" in state);
      const forgeries: readonly object[] = [
        { name: "root", uid: 0, gid: 0 },
        { name: "root" },
        { uid: 0 },
        { gid: 0 },
        { name: "daemon", uid: 1, gid: 1 },
        { name: "#0" },
        { name: "-u" },
        { uid: 0xffff_ffff },
        { name: "nobody", uid: 65_534, gid: 65_534 },
        // As Debian makes slurm's, who may submit jobs as root.
        { name: daemon.name, uid: daemon.uid, gid: daemon.gid },
      ];
      for (const forged of forgeries) {
        const identity = { ...(typeof state.identity === "object" ? state.identity : {}), ...forged };
        const target = "name" in forged ? String(forged.name) : user.name;
        const ended = await handOver(door, target, { ...state, identity });
        assert.notEqual(ended.exitCode, 0, JSON.stringify(forged));
        assert.equal(ended.stderr.includes("begun"), false, `the door opened: ${JSON.stringify(forged)}`);
      }
      // glibc tells each thread of its new ids by a signal, and tells nobody of one that had no room.
      if (door === "capabilities") {
        const ended = await handOver(door, user.name, state, ["bash", "-c", 'ulimit -i 0; exec "$@"', "-"]);
        assert.equal(ended.exitCode, 2);
        assert.match(ended.stderr, /^ERROR: The rights of the runner cannot be given up: a thread has kept its ids/);
      }
      const control = await handOver(door, user.name, state);
      assert.match(control.stderr, new RegExp(`${nonce} begun`), "the control: it can be every user");
      honest.remove();
    });
  }

  it("is nobody whose jobs run: an account in its group could become any user", async () => {
    const insider = makeAccount("jacamar-e2e-insider", ["--groups", place.service.name]);
    try {
      const honest = place.job("setuid with capabilities");
      await honest.config();
      const line = JSON.stringify({
        stage: "cleanup",
        scriptStage: "",
        environment: { JACAMAR_CI_STATE: honest.environment["JACAMAR_CI_STATE"] },
        nonce,
      });
      const groups = ["setpriv", `--reuid=${insider.uid}`, `--regid=${insider.gid}`, "--init-groups"];
      const program = [join(place.stage.directory, "jacamar-auth"), "--handover"];
      const other = await asUser(root, [...groups, "sh", "-c", 'exec "$@"', "-", ...program], {
        cwd: "/",
        input: `${line}\n`,
      });
      assert.match(other.stderr, new RegExp(`${nonce} begun`), "the control: it can");
      const job = place.job("setuid with capabilities", { user: insider, unobfuscated: true });
      const config = await job.config();
      assert.equal(config.exitCode, 2, config.stdout);
      assert.match(config.stderr, /^ERROR: .*"jacamar-e2e-insider" is in the group that can run/m);
      for (const one of [honest, job]) one.remove();
    } finally {
      removeAccount(insider);
    }
  });

  it("can run nothing by sudo but the one command, and that as nobody of the system", async () => {
    const jacamar = join(place.stage.directory, "jacamar");
    const refused: readonly (readonly string[])[] = [
      ["-u", "root", jacamar, "--handover"],
      ["-u", "#0", jacamar, "--handover"],
      ["-u", "#-1", jacamar, "--handover"],
      ["-u", "#4294967295", jacamar, "--handover"],
      ["-u", user.name, jacamar],
      ["-u", user.name, jacamar, "--version"],
      ["-u", user.name, jacamar, "--handover", "--help"],
      ["-u", user.name, "/bin/sh"],
      ["-g", "root", "-u", user.name, jacamar, "--handover"],
      ["-u", user.name, "LD_PRELOAD=/x", jacamar, "--handover"],
    ];
    for (const args of refused) {
      const ended = await asService(["sudo", "-n", ...args]);
      assert.equal(ended.exitCode, 1, args.join(" "));
      assert.match(ended.stderr, /^sudo: |^Sorry|^usage: sudo/m, args.join(" "));
    }
    const daemon = await asService(["sudo", "-n", "-u", "daemon", jacamar, "--handover"], "");
    assert.equal(daemon.exitCode, 2);
    assert.match(daemon.stderr, /^ERROR: Standard input does not hold what jacamar-auth hands over/);
  });

  it("gets nothing of its own run with the capabilities of the executable", async (test) => {
    if (!place.stage.isPackaged) return test.skip("a Node.js runs what it is given; docs/administration.md says so");
    const evil = join(own, "evil.cjs");
    writeFileSync(evil, `process.setuid(0); require("fs").writeFileSync("${trophy}", "")`, { mode: 0o644 });
    const program = join(place.stage.directory, "jacamar-auth");
    const options = [[evil], ["--eval", `require("${evil}")`], ["--require", evil], ["-r", evil], ["--import", evil]];
    for (const args of [...options, [`--require=${evil}`, "--version"], ["--inspect-brk", "--version"], ["--", evil]]) {
      await asService([program, ...args]);
      assert.equal(existsSync(trophy), false, args.join(" "));
    }
    const steering = [
      "NODE_OPTIONS",
      "NODE_REPL_EXTERNAL_MODULE",
      "NODE_PATH",
      "OPENSSL_CONF",
      "LD_PRELOAD",
      "LD_AUDIT",
    ];
    for (const name of steering) {
      const env = { PATH: "/usr/bin:/bin", [name]: name === "NODE_OPTIONS" ? `--require=${evil}` : evil };
      await asUser(place.service, ["env", `${name}=${env[name]}`, program, "--version"], {
        env: { PATH: "/usr/bin:/bin" },
      });
      assert.equal(existsSync(trophy), false, name);
    }
  });

  for (const steered of [{}, { NODE_DEBUG: "x" }]) {
    const how = "NODE_DEBUG" in steered ? ", nor when it had to start itself afresh" : "";
    it(`cannot get into a process that has the capabilities, while it decides${how}`, () =>
      attackWhileItDecides(steered));
  }

  async function attackWhileItDecides(steered: Readonly<Record<string, string>>): Promise<void> {
    const started = join(own, "started");
    const script = join(own, "runas");
    writeFileSync(script, `#!/bin/sh\ntouch ${started}\nsleep 20\n`);
    chmodSync(script, 0o755);
    chownSync(script, place.service.uid, place.service.gid);
    const job = place.job("setuid with capabilities", { auth: `[auth.runas]\nvalidation_script = "${script}"` });
    const argv = [`${place.stage.jacamar}-auth`, "config", "--configuration", join(job.directory, "jacamar.toml")];
    const deciding = startAsUser(place.service, argv, { env: { ...job.environment, ...steered }, cwd: job.directory });
    while (!existsSync(started)) await new Promise((resolve) => setTimeout(resolve, 50));
    const status = readFileSync(`/proc/${deciding.pid}/status`, "utf8");
    assert.match(status, /^CapPrm:\s+0+c0$/m, "the control: it has them");
    const attack = `
      head -c 1 /proc/${deciding.pid}/environ > /dev/null 2>&1 && echo read
      ls /proc/${deciding.pid}/fd > /dev/null 2>&1 && echo list
      timeout 2 strace -p ${deciding.pid} -o /dev/null 2>&1 | grep -q attached && echo attach
      kill -USR1 ${deciding.pid}; sleep 0.3
      curl --silent --max-time 2 http://127.0.0.1:9229/json | grep -q webSocketDebuggerUrl && echo debug
      true`;
    const { stdout } = await asService(["bash", "-c", attack]);
    assert.equal(stdout, "");
    for (const child of childrenOf(deciding.pid)) {
      assert.match(readFileSync(`/proc/${child}/status`, "utf8"), /^CapPrm:\s+0+$/m, "no child has them");
    }
    deciding.killGroup("SIGTERM");
    await deciding.done;
    rmSync(started);
    job.remove();
  }

  it("cannot look into the child that is about to become the user", async () => {
    const job = place.job("setuid with capabilities");
    await job.config();
    await job.prepare();
    // The account can stop the child, which is still its own, and then has all the time that it needs.
    let stopped: number | undefined;
    for (let attempt = 0; attempt < 20 && stopped === undefined; attempt += 1) {
      const stage = job.start("build_script", "true");
      while (existsSync(`/proc/${stage.pid}`) && stopped === undefined) {
        stopped = childrenOf(stage.pid).find((pid) => stopBeforeTheDoor(pid));
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (stopped !== undefined) {
        const attack = `
          ls /proc/${stopped}/fd > /dev/null 2>&1 && echo list
          head -c 1 /proc/${stopped}/environ > /dev/null 2>&1 && echo read
          timeout 2 strace -p ${stopped} -o /dev/null 2>&1 | grep -q attached && echo attach
          true`;
        const { stdout } = await asService(["bash", "-c", attack]);
        assert.ok(hasCapabilities(stopped), "the control: it has them all the while");
        process.kill(stopped, "SIGCONT");
        assert.equal(stdout, "");
      }
      await stage.done;
    }
    assert.notEqual(stopped, undefined, "no child was met before the door");
    await job.cleanup();
    job.remove();
  });

  /** Whether it is a child that has the capabilities, and is stopped now. */
  function stopBeforeTheDoor(pid: number): boolean {
    try {
      if (!hasCapabilities(pid)) return false;
      process.kill(pid, "SIGSTOP");
      if (hasCapabilities(pid)) return true;
      process.kill(pid, "SIGCONT");
    } catch {
      // It has ended.
    }
    return false;
  }

  /** A child that is yet to become another program has them from its parent. */
  function hasCapabilities(pid: number): boolean {
    const isProgram = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0").at(-2) === "--handover";
    return isProgram && /^CapPrm:\s+0+c0$/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  }

  function asService(argv: readonly string[], input?: string): Promise<Ended> {
    return asUser(place.service, argv, { cwd: "/", ...(input === undefined ? {} : { input }) });
  }

  /** What jacamar-auth would hand over to the process behind the door. */
  function handOver(
    door: "capabilities" | "sudo",
    target: string,
    state: object,
    under: readonly string[] = [],
  ): Promise<Ended> {
    const environment = { JACAMAR_CI_STATE: JSON.stringify(state) };
    const line = JSON.stringify({ stage: "cleanup", scriptStage: "", environment, nonce });
    const programs = {
      capabilities: [join(place.stage.directory, "jacamar-auth"), "--handover"],
      sudo: ["sudo", "-n", "-u", target, "--", join(place.stage.directory, "jacamar"), "--handover"],
    };
    return asService([...under, ...programs[door]], `${line}\n`);
  }
});
