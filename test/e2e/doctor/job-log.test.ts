import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TestJob } from "../../harness/job.ts";
import { asUser, testUser, type User } from "../../harness/machine.ts";
import { type Registry, startRegistry } from "../../harness/registry.ts";
import { makeAccount, makePlace, type Place, removeAccount, skip } from "../authorisation/support/place.ts";

/** A user of this file alone, whose subordinate ids are taken away and given back. */
describe("a stage that fails for the site's reasons", { skip }, () => {
  let place: Place;
  let alice: User;
  let registry: Registry;
  let image: string;
  let ranges: { uid: string; gid: string };

  before(async () => {
    place = await makePlace("doctorlog");
    alice = makeAccount("jacamar-e2e-alice");
    ranges = { uid: rangeOf(alice, "/etc/subuid"), gid: rangeOf(alice, "/etc/subgid") };
    // The runtime and the storage that work on this machine.
    const configuration = join(alice.home, ".config");
    cpSync(join(testUser().home, ".config/containers"), join(configuration, "containers"), { recursive: true });
    execFileSync("chown", ["-R", `${alice.uid}:${alice.gid}`, configuration]);
    registry = startRegistry("anonymous");
    image = await pushImageOfManyUsers(registry);
  });
  after(async () => {
    registry.stop();
    await asUser(testUser(), ["podman", "rmi", "--force", image]);
    // Its pause process would keep the account.
    execFileSync("sh", ["-c", `kill -9 $(cat /tmp/jacamar-ci-${alice.uid}/libpod/tmp/pause.pid) 2>/dev/null; true`]);
    rmSync(`/tmp/jacamar-ci-${alice.uid}`, { recursive: true, force: true });
    removeAccount(alice);
    await place.remove();
  });

  /** A job of alice's, whose image is pulled anew. */
  function job(podman = ""): TestJob {
    return place.job("setuid as root", {
      user: alice,
      image,
      configuration: `[general]
executor = "shell"
data_dir = "$HOME/ci"
run_mechanism = "podman"
gitlab_server = "${place.gitlab.url}"
jwt_env_variable = "SITE_ID_TOKEN"
[general.podman]
${podman}
[auth]
downscope = "setuid"
[auth.logging]
enabled = false
`,
    });
  }

  it("shows what is wrong on the machine, found as the user: no line in /etc/subuid", async () => {
    takeRanges(alice, ranges, "del");
    const failing = job();
    const config = await failing.config();
    assert.equal(config.exitCode, 0, config.stderr);
    const prepare = await failing.prepare();
    assert.equal(prepare.exitCode, 2, prepare.stdout + prepare.stderr);
    assert.match(prepare.stderr, /^ERROR: Cannot pull the image /m);
    assert.match(
      prepare.stderr,
      /\n {2}Found on this machine:\n(?: {2}- .*\n)* {2}- rootless Podman has no subordinate ids for jacamar-e2e-alice: ask the administrator for a line in \/etc\/subuid \(as root: usermod --add-subuids \d+-\d+ --add-subgids \d+-\d+ jacamar-e2e-alice\)\n/,
    );
    // What is only a warning is not for the job log.
    assert.doesNotMatch(prepare.stderr, /warning/i);
    await failing.cleanup();
    failing.remove();
  });

  it("shows nothing when the stage passes", async () => {
    takeRanges(alice, ranges, "add");
    // As the administrator's next step says.
    await asUser(alice, ["podman", "system", "migrate"], {
      env: { HOME: alice.home, PATH: "/usr/bin:/bin", XDG_RUNTIME_DIR: `/tmp/jacamar-ci-${alice.uid}` },
    });
    const passing = job();
    const { config, prepare, cleanup } = await passing.whole("true");
    assert.doesNotMatch(config.stdout + config.stderr, /Found on this machine/);
    assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
    assert.doesNotMatch(prepare.stdout + prepare.stderr, /Found on this machine/);
    assert.equal(cleanup.exitCode, 0, cleanup.stderr);
    passing.remove();
  });

  it("shows nothing for a failure of the job's own", async () => {
    const failing = job();
    await failing.config();
    await failing.prepare();
    const run = await failing.run("build_script", "exit 3");
    assert.equal(run.exitCode, 1);
    assert.doesNotMatch(run.stdout + run.stderr, /Found on this machine/);
    await failing.cleanup();
    failing.remove();
  });

  it("does not say again what the failure says itself", async () => {
    const failing = job('application_path = "/nonexistent/podman"');
    await failing.config();
    const prepare = await failing.prepare();
    assert.equal(prepare.exitCode, 2);
    assert.equal(
      prepare.stderr,
      'ERROR: Cannot start Podman as "/nonexistent/podman": ENOENT\n  The administrator sets its place with application_path in [general.podman].\n',
    );
    await failing.cleanup();
    failing.remove();
  });
});

/** `start-end` of the account's line, as usermod(8) takes it. */
function rangeOf({ name }: User, file: string): string {
  const [, start = "", count = ""] = new RegExp(`^${name}:(\\d+):(\\d+)$`, "m").exec(readFileSync(file, "utf8")) ?? [];
  return `${start}-${Number(start) + Number(count) - 1}`;
}

function takeRanges({ name }: User, { uid, gid }: { uid: string; gid: string }, how: "add" | "del"): void {
  execFileSync("usermod", [`--${how}-subuids`, uid, `--${how}-subgids`, gid, name]);
}

/** An image with a shell and a file of a user who is not root: it cannot be unpacked without subordinate ids. */
async function pushImageOfManyUsers(registry: Registry): Promise<string> {
  const user = testUser();
  const name = `localhost/jacamar-e2e-many-users-${process.pid}`;
  const directory = mkdtempSync("/var/tmp/jacamar-e2e-image-");
  const script = `set -euo pipefail
    mkdir -p "$1/bin"; cp "$(command -v busybox)" "$1/bin/sh"; touch "$1/file"
    tar -C "$1" --owner=4242 --group=4242 -c file bin | podman import --quiet - "$2"`;
  try {
    execFileSync("chown", [String(user.uid), directory]);
    const made = await asUser(user, ["bash", "-c", script, "-", directory, name]);
    if (made.exitCode !== 0) throw new Error(`Cannot make the image: ${made.stderr}`);
    return await registry.push(user, name, "group/many-users:1");
  } finally {
    await asUser(user, ["podman", "rmi", "--force", name]);
    rmSync(directory, { recursive: true, force: true });
  }
}
