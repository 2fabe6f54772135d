import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { asUser, startAsUser, testUser } from "./machine.ts";
import { difference, snapshot } from "./snapshot.ts";

const user = testUser();

test("snapshot() sees the container, volume, process and file that a job leaves, and difference() names them", async () => {
  const name = `left-${randomUUID()}`;
  const directory = join(user.home, name);
  const before = await snapshot(user, [directory]);

  const run = ["podman", "run", "--detach", "--name", name, "--volume", `${name}:/v`, "localhost/jacamar-busybox"];
  const started = await asUser(user, [...run, "sleep", "987"]);
  assert.equal(started.exitCode, 0, started.stderr);
  const process = startAsUser(user, ["sleep", "988"]);
  await asUser(user, ["bash", "-c", 'mkdir -p "$1/sub" && touch "$1/sub/file" && ln -s / "$1/link"', "-", directory]);

  const changes = difference(before, await snapshot(user, [directory]));
  const expected = [
    new RegExp(`^\\+ container [0-9a-f]{12} ${name} running localhost/jacamar-busybox:latest$`, "m"),
    new RegExp(`^\\+ volume ${name}$`, "m"),
    /^\+ process \d+ \d+ sleep 987$/m, // in the container
    /^\+ process \d+ \d+ sleep 988$/m,
    /^\+ process \d+ \d+ .*conmon .*$/m,
    new RegExp(`^\\+ file ${directory}/link@$`, "m"),
    new RegExp(`^\\+ file ${directory}/sub/file$`, "m"),
  ];
  for (const line of expected) assert.match(changes.join("\n"), line);

  process.killGroup("SIGKILL");
  await process.done;
  await asUser(user, ["podman", "rm", "--force", "--time", "0", name]);
  await asUser(user, ["podman", "volume", "rm", name]);
  await asUser(user, ["rm", "-r", directory]);
  assert.deepEqual(difference(before, await snapshot(user, [directory])), []);
});
