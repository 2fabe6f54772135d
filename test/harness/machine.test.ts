import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asUser, loginEnvironment, otherUser, startAsUser, testUser } from "./machine.ts";

const user = testUser();

describe("asUser()", () => {
  test("runs as the user, in the user's groups and home, with nothing of our environment", async () => {
    process.env["JACAMAR_LEAK"] = "1";
    const ended = await asUser(user, ["bash", "-c", "id -u; id -ru; id -g; id -G; pwd; env | sort"]);
    delete process.env["JACAMAR_LEAK"];
    const [uid, realUid, gid, groups, directory, ...environment] = ended.stdout.trim().split("\n");
    assert.deepEqual([uid, realUid, gid], [`${user.uid}`, `${user.uid}`, `${user.gid}`]);
    assert.ok(!groups?.split(" ").includes("0"));
    assert.equal(directory, user.home);
    const names = environment.map((line) => line.slice(0, line.indexOf("=")));
    // Bash itself adds the last three.
    assert.deepEqual(new Set(names), new Set([...Object.keys(loginEnvironment(user)), "PWD", "SHLVL", "_"]));
  });

  test("gives the exit code, the signal, both outputs and the input as they are", async () => {
    const ended = await asUser(user, ["bash", "-c", 'cat; echo "$1" >&2; exit 3', "-", "$(id) *"], { input: "in\n" });
    assert.deepEqual([ended.exitCode, ended.signal, ended.stdout, ended.stderr], [3, undefined, "in\n", "$(id) *\n"]);
    const killed = await asUser(user, ["bash", "-c", "kill -TERM $$"]);
    assert.deepEqual([killed.exitCode, killed.signal], [undefined, "SIGTERM"]);
  });

  test("takes exactly the environment that is given", async () => {
    const ended = await asUser(user, ["/usr/bin/env"], { env: { A: "b c" } });
    assert.equal(ended.stdout, "A=b c\n");
  });

  test("kills what takes too long, and its children", async () => {
    const ended = await asUser(user, ["bash", "-c", "sleep 300 & echo $!; wait"], { timeoutSeconds: 2 });
    assert.equal(ended.timedOut, true);
    assert.equal(ended.signal, "SIGKILL");
    assert.ok(ended.durationMilliseconds < 60_000);
    const state = await asUser(user, ["ps", "-o", "stat=", "-p", ended.stdout.trim()]);
    assert.match(state.stdout, /^(Z.*)?$/m);
  });

  test("says so when the program is not there", async () => {
    const ended = await asUser(user, ["no-such-program-anywhere"]);
    assert.equal(ended.exitCode, 127);
    assert.match(ended.stderr, /no-such-program-anywhere/);
  });
});

describe("startAsUser()", () => {
  test("shows each piece of output when it comes, and signals the whole group", async () => {
    const running = startAsUser(user, ["bash", "-c", 'trap "echo bye; exit 9" TERM; echo one; sleep 20 & wait']);
    await running.until("one");
    assert.equal(running.stdout(), "one\n");
    assert.equal(running.killGroup("SIGTERM"), true);
    const ended = await running.done;
    assert.equal(ended.exitCode, 9);
    assert.equal(ended.stdout, "one\nbye\n");
    assert.ok(running.chunks.every((chunk) => chunk.atMilliseconds <= ended.durationMilliseconds));
    // A child that was left to the first process of the machine is in the group until that one looks for it.
    let gone = false;
    for (let look = 0; look < 1200 && !gone; look += 1) {
      gone = !running.killGroup("SIGTERM");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(gone, true);
  });

  test("tells when a program ended apart from when its output was closed", async () => {
    const ended = await startAsUser(user, ["bash", "-c", "sleep 3 & echo x"]).done;
    const { exitedAfterMilliseconds: exited, durationMilliseconds: closed } = ended;
    assert.ok(closed - exited >= 1000, `${exited} ${closed}`);
  });

  test("until() gives up when the program ends without the text", async () => {
    const running = startAsUser(user, ["echo", "something else"]);
    await assert.rejects(running.until("never"), /something else/);
  });
});

test("otherUser() is somebody else", { skip: otherUser() === undefined && "only root can act as two users" }, () => {
  assert.notEqual(otherUser()?.uid, user.uid);
});
