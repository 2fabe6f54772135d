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
import { dirname, join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { asUser, type Ended, testUser, type User } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";

const isRoot = process.getuid?.() === 0;
const user = testUser();

describe("jacamar init", () => {
  let stage: Stage;
  let directory: string;
  let file: string;
  before(() => {
    stage = stageBundle();
    directory = mkdtempSync("/var/tmp/jacamar-e2e-init-");
    chmodSync(directory, 0o755);
  });
  let count = 0;
  beforeEach(() => {
    count += 1;
    const place = join(directory, String(count));
    mkdirSync(place);
    if (isRoot) chownSync(place, user.uid, user.gid);
    file = join(place, "jacamar.toml");
  });
  after(() => {
    stage.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  function init(args: readonly string[], who: User = user): Promise<Ended> {
    return asUser(who, [stage.jacamar, "init", ...args], { cwd: directory });
  }

  it("writes a file that the check passes, and prints the block that goes with it", async () => {
    const { exitCode, stdout, stderr } = await init(["--yes", "--executor", "shell", file]);
    assert.equal(exitCode, 0, stderr);
    const status = statSync(file);
    assert.deepEqual([status.uid, status.mode & 0o7777], [user.uid, 0o600]);
    const text = readFileSync(file, "utf8");
    assert.match(text, /^#:schema .*\/jacamar\.schema\.json\n/);
    assert.match(text, /^executor = "shell"$/m);
    assert.doesNotMatch(text, /^\[auth\]$/m);
    assert.match(stderr, /^Wrote /);
    const runner = `${file}.runner`;
    writeFileSync(runner, `[[runners]]\n  executor = "custom"\n${stdout}`, { mode: 0o644 });
    const check = await asUser(user, [stage.jacamar, "check", "--strict", "--runner-config", runner, file]);
    assert.deepEqual([check.exitCode, check.stdout], [0, `${file}: no problems, no warnings\n`]);
  });

  it("never overwrites", async () => {
    writeFileSync(file, "mine");
    const { exitCode, stdout, stderr } = await init(["--yes", file]);
    assert.deepEqual([exitCode, stdout], [2, ""]);
    assert.match(stderr, /^ERROR: ".*" is there already, and was not touched\n/);
    assert.equal(readFileSync(file, "utf8"), "mine");
  });

  it("asks nothing where nobody can answer, and writes nothing then", async () => {
    const { exitCode, stderr } = await init([file]);
    assert.equal(exitCode, 2);
    assert.match(stderr, /^ERROR: Standard input is no terminal, so nothing can be asked: give --yes/);
    const unseen = await init(["--yes", "--downscope", "sudo", file]);
    assert.equal(unseen.exitCode, 2);
    assert.match(unseen.stderr, /give --gitlab-server URL/);
    assert.equal(existsSync(file), false);
  });

  it("refuses answers with which no job would run", async () => {
    const missing = ["--yes", "--tls-ca-file", "/nonexistent/ca.pem", file];
    for (const args of [missing, ["--yes", "--data-dir", "here", file], ["--yes", "--executor", "cobalt", file]]) {
      const { exitCode, stderr } = await init(args);
      assert.equal(exitCode, 2, args.join(" "));
      assert.match(stderr, /^ERROR: /);
      assert.equal(existsSync(file), false);
    }
  });

  it("asks at a terminal, takes empty answers as suggested, and asks again for what cannot be used", async () => {
    const answers = ["cobalt", "shell", "sudo", "https://gitlab.example.com", "", "maybe", "no"];
    const line = `${stage.jacamar} init ${file}`;
    // script(1) is the terminal; it ends when the program does.
    const keys = `for answer in "$@"; do sleep 0.2; echo "$answer"; done; sleep 5`;
    const { stdout } = await asUser(user, [
      "bash",
      "-c",
      `{ ${keys}; } | script --quiet --return --command "$0" /dev/null`,
      line,
      ...answers,
    ]);
    assert.match(stdout, /That cannot be used: expected one of "shell"/);
    assert.match(stdout, /That cannot be used: expected yes or no/);
    assert.match(stdout, /\[\$HOME\/\.jacamar-ci\] > /);
    assert.doesNotMatch(stdout, /The image for Git/);
    const text = readFileSync(file, "utf8");
    assert.match(text, /^executor = "shell"$/m);
    assert.match(text, /^data_dir = "\$HOME\/\.jacamar-ci"$/m);
    assert.match(text, /^downscope = "sudo"$/m);
    assert.doesNotMatch(text, /run_mechanism/);
  });

  it("writes nothing when the questions are not answered", async () => {
    const line = `${stage.jacamar} init ${file}`;
    const { stdout } = await asUser(user, [
      "bash",
      "-c",
      `{ sleep 0.5; printf '\\004'; sleep 3; } | script --quiet --return --command "$0" /dev/null`,
      line,
    ]);
    assert.match(stdout, /ERROR: The questions were not answered, and nothing was written/);
    assert.equal(existsSync(file), false);
  });

  it("sees what is on the PATH: a scheduler and Podman", async () => {
    const bin = join(directory, `${count}-bin`);
    mkdirSync(bin);
    chmodSync(bin, 0o755);
    for (const name of ["qsub", "podman"]) {
      writeFileSync(join(bin, name), "#!/bin/sh\necho podman version 9.9\n");
      chmodSync(join(bin, name), 0o755);
    }
    const ended = await asUser(user, ["env", `PATH=${bin}`, stage.jacamar, "init", "--yes", file]);
    assert.equal(ended.exitCode, 0, ended.stderr);
    assert.match(readFileSync(file, "utf8"), /^executor = "pbs"$[^]*^run_mechanism = "podman"$/m);
    const nothing = `${file}.2`;
    await asUser(user, ["env", "PATH=/nonexistent", stage.jacamar, "init", "--yes", nothing]);
    assert.match(readFileSync(nothing, "utf8"), /^executor = "shell"$/m);
    assert.doesNotMatch(readFileSync(nothing, "utf8"), /run_mechanism/);
  });

  it("gives root's file to root and lets everybody read it", { skip: isRoot ? false : "needs root" }, async () => {
    const root: User = { name: "root", uid: 0, gid: 0, home: "/root" };
    const options = ["--yes", "--gitlab-server", "https://gitlab.example.com", file];
    const refused = await init(options, root);
    assert.equal(refused.exitCode, 2, refused.stdout);
    assert.match(refused.stderr, /\n"\/.*" belongs to the account number \d+, so this file could be exchanged; .*\n/);
    chownSync(dirname(file), 0, 0);
    const { exitCode, stderr } = await init(options, root);
    assert.equal(exitCode, 0, stderr);
    const status = statSync(file);
    assert.deepEqual([status.uid, status.gid, status.mode & 0o7777], [0, 0, 0o644]);
    assert.match(readFileSync(file, "utf8"), /^downscope = "setuid"$/m);
    assert.match(stderr, /SITE_ID_TOKEN:\n\s+aud: https:\/\/gitlab\.example\.com/);
  });

  const hasOwnPlace = !isRoot ? "needs root" : existsSync("/etc/gitlab-runner") ? "GitLab Runner is here" : false;
  it("makes the usual place so that a service account gets at root's file", { skip: hasOwnPlace }, async () => {
    // What it writes below /etc goes to a directory of the test's.
    const script = `set -e
      mkdir "$1/upper" "$1/work"
      mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
      umask 077
      "$2" init --yes --gitlab-server https://gitlab.example.com >/dev/null
      stat -c '%U %a' /etc/gitlab-runner /etc/gitlab-runner/jacamar.toml`;
    const root: User = { name: "root", uid: 0, gid: 0, home: "/root" };
    const place = mkdtempSync(join(directory, "etc-"));
    const ended = await asUser(root, ["unshare", "--mount", "sh", "-c", script, "-", place, stage.jacamar]);
    assert.equal(ended.stdout, "root 755\nroot 644\n", ended.stderr);
  });
});
