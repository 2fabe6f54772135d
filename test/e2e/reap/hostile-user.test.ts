import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { asUser, type Ended, type User } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";
import { makeAccount, removeAccount, root, skip } from "../authorisation/support/place.ts";
import { logOf } from "../stopping/jobs.ts";

describe("jacamar reap by root, for a user who is against it", { skip }, () => {
  let stage: Stage;
  let user: User;
  let directory = "";
  let configuration = "";

  before(() => {
    stage = stageBundle();
    user = makeAccount("jacamar-e2e-reaped");
    directory = mkdtempSync("/var/tmp/jacamar-e2e-reaped-");
    chmodSync(directory, 0o755);
    configuration = join(directory, "jacamar.toml");
    const general = 'executor = "shell"\ndata_dir = "$HOME/ci"\nrun_mechanism = "podman"';
    writeFileSync(configuration, `[general]\n${general}\n`, { mode: 0o644 });
  });
  after(() => {
    rmSync(directory, { recursive: true, force: true });
    rmSync(`/tmp/jacamar-ci-${user.uid}`, { recursive: true, force: true });
    removeAccount(user);
    stage.remove();
  });

  async function sh(script: string, ...args: readonly string[]): Promise<void> {
    const ended = await asUser(user, ["bash", "-c", script, "-", ...args]);
    assert.equal(ended.exitCode, 0, logOf(ended));
  }

  /** The login of the user finds this in the place of Podman. */
  async function podmanOf(script: string): Promise<void> {
    await sh(
      'mkdir -p -m 700 ~/bin "/tmp/jacamar-ci-$UID"; echo "PATH=~/bin:\\$PATH" >~/.bash_profile; printf "%s" "$1" >~/bin/podman; chmod 755 ~/bin/podman',
      `#!/bin/sh\n${script}\n`,
    );
  }

  function reap(...options: readonly string[]): Promise<Ended> {
    const argv = [stage.jacamar, "reap", "--configuration", configuration, "--user", user.name, ...options];
    return asUser(root, argv, { cwd: "/", timeoutSeconds: 100 });
  }

  /** Nothing is a line that this program has not written. */
  function assertLines(reaped: Ended): void {
    for (const line of logOf(reaped).split("\n")) assert.match(line, /^(?:$|Found |Removed |Nothing |ERROR: Cannot)/);
    assert.ok(!logOf(reaped).includes("\u001b"));
  }

  it("becomes no account of a service, such as Debian's slurm, though its number is above UID_MIN", async () => {
    const service = makeAccount("jacamar-e2e-served", ["--uid", "64123", "--shell", "/usr/sbin/nologin"]);
    try {
      const argv = [stage.jacamar, "reap", "--configuration", configuration];
      const refused = await asUser(root, [...argv, "--user", service.name], { cwd: "/", timeoutSeconds: 100 });
      assert.equal(refused.exitCode, 2, logOf(refused));
      assert.match(refused.stderr, /There is no user "jacamar-e2e-served" whose jobs could run here/);
    } finally {
      removeAccount(service);
    }
  });

  it("does not fail an epilog, which would take the node from everybody", async () => {
    await podmanOf("echo no >&2; exit 1");
    const epilog = await reap("--yes", "--batch-job", "7");
    assert.match(logOf(epilog), /ERROR: Cannot list the containers of jobs: no/);
    assert.equal(epilog.exitCode, 0, logOf(epilog));
    assert.equal((await reap("--yes")).exitCode, 2);
  });

  it("prints no line of the user's choice", async () => {
    const forged = "x\nERROR: run as root: rm -rf /\n\x1b[2J";
    const container = { Id: "a".repeat(64), Names: [forged], State: forged, Labels: {} };
    const made = JSON.stringify(["podman", "run", "--label", "jacamar-ci.batch=7"]);
    await podmanOf(`case $1 in ps) cat ;; *) echo '${made}' ;; esac <<'END'\n${JSON.stringify([container])}\nEND`);
    const project = "group\nERROR: run as root: rm -rf /";
    const life = `77-${"a".repeat(12)} ${hostname().replaceAll(/[^A-Za-z0-9_.-]/g, "_")}/4194305/1/1\n`;
    await sh(
      'umask 077; mkdir -p ~/ci/scripts/token/000/"$1"/77.private; printf "%s" "$2" >~/ci/scripts/token/000/"$1"/77.private/life',
      project,
      life,
    );
    const found = await reap();
    assert.match(found.stdout, /^Found job 77 of group/m, logOf(found));
    assertLines(found);
    const epilog = await reap("--batch-job", "7");
    assert.match(epilog.stdout, /^Found container x/m, logOf(epilog));
    assertLines(epilog);
  });
});
