import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { asUser, quietUser, startAsUser, testUser } from "./machine.ts";
import { difference, snapshot } from "./snapshot.ts";

const quiet = quietUser();
const user = quiet ?? testUser();
const skip = quiet === undefined && "others may use our own account meanwhile";

test("snapshot() sees what a job leaves, and difference() names it", { skip }, async (context) => {
  const name = `left-${randomUUID()}`;
  const directory = join(user.home, name);
  const before = await snapshot(user, [directory]);
  const left = startAsUser(user, ["sleep", "988"]);
  async function clean(): Promise<void> {
    left.killGroup("SIGKILL");
    await left.done;
    await asUser(user, ["podman", "rm", "--force", "--ignore", "--time", "0", name]);
    await asUser(user, ["podman", "volume", "rm", name]);
    await asUser(user, ["rm", "-rf", directory]);
  }
  context.after(clean);

  const run = ["podman", "run", "--detach", "--name", name, "--volume", `${name}:/v`, "localhost/jacamar-busybox"];
  const started = await asUser(user, [...run, "sleep", "987"]);
  assert.equal(started.exitCode, 0, started.stderr);
  await asUser(user, ["bash", "-c", 'mkdir -p "$1/sub" && touch "$1/sub/file" && ln -s / "$1/link"', "-", directory]);

  const changes = difference(before, await snapshot(user, [directory])).join("\n");
  assert.match(changes, new RegExp(`^\\+ container [0-9a-f]{12} ${name} localhost/jacamar-busybox:latest$`, "m"));
  assert.match(changes, new RegExp(`^\\+ volume ${name}$`, "m"));
  assert.match(changes, /^\+ process \d+ \d+ sleep 987$/m); // inside the container
  assert.match(changes, /^\+ process \d+ \d+ sleep 988$/m);
  assert.match(changes, /^\+ process \d+ \d+ .*conmon /m);
  assert.match(changes, new RegExp(`^\\+ file ${directory}/link@$`, "m"));
  assert.match(changes, new RegExp(`^\\+ file ${directory}/sub/file$`, "m"));

  await clean();
  assert.deepEqual(difference(before, await snapshot(user, [directory])), []);
});
