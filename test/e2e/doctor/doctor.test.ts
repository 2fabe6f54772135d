import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync, chmodSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { asUser, type Ended, testUser, type User } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";

const user = testUser();
const root: User = { name: "root", uid: 0, gid: 0, home: "/root" };
const skip = process.getuid?.() === 0 ? false : "looking as another user takes root";

describe("jacamar doctor", () => {
  let stage: Stage;
  let directory: string;
  before(() => {
    stage = stageBundle();
    directory = mkdtempSync("/var/tmp/jacamar-e2e-doctor-");
    chmodSync(directory, 0o755);
  });
  after(() => {
    stage.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  function configuration(text: string): string {
    const path = join(directory, "jacamar.toml");
    writeFileSync(path, `[general]\nexecutor = "shell"\ndata_dir = "$HOME/ci"\n${text}`);
    chmodSync(path, 0o644);
    return path;
  }

  function doctor(who: User, ...args: readonly string[]): Promise<Ended> {
    return asUser(who, [stage.jacamar, "doctor", ...args]);
  }

  it("looks at the caller's own account, with a short line for what is well", async () => {
    const leftovers = () => readdirSync("/tmp").filter((name) => name.startsWith("jacamar-doctor-"));
    const before = leftovers();
    const { exitCode, stdout, stderr } = await doctor(
      user,
      "--no-network",
      "--configuration",
      configuration('run_mechanism = "podman"\n'),
    );
    assert.equal(stderr, "");
    assert.match(stdout, new RegExp(`^Looking as ${user.name}, with ${directory}/jacamar\\.toml\n`));
    for (const name of ["login", "subordinate-ids", "podman", "storage-driver", "container"]) {
      assert.match(stdout, new RegExp(`^ok {7}${name} `, "m"));
    }
    assert.doesNotMatch(stdout, /gitlab  |registries/);
    const wrong = stdout.match(/^wrong /gm)?.length ?? 0;
    assert.match(stdout, new RegExp(`^${wrong} wrong, \\d+ warnings?, \\d+ ok(?:, \\d+ unknown)?\n$`, "m"));
    assert.equal(exitCode, wrong > 0 ? 1 : 0);
    assert.deepEqual(
      leftovers().filter((name) => !before.includes(name)),
      [],
    );
  });

  it("ends with 1 for what is wrong, and gives the remedy as a command", async () => {
    const file = configuration(
      'run_mechanism = "podman"\n[general.podman]\napplication_path = "/nonexistent/podman"\n',
    );
    const { exitCode, stdout } = await doctor(user, "--configuration", file, "--check", "podman");
    assert.equal(exitCode, 1);
    assert.equal(
      stdout.split("\n").slice(1).join("\n"),
      [
        'wrong    podman             Cannot start Podman as "/nonexistent/podman": ENOENT [podman-missing]',
        "                            as root: apt-get install podman || dnf install podman",
        "1 wrong, 0 warnings, 0 ok",
        "",
      ].join("\n"),
    );
  });

  it("ends with 2 where it cannot look", async () => {
    const bad = configuration("forse = 1\n");
    for (const args of [
      ["--forse"],
      ["x"],
      ["--check", "nothing"],
      ["--configuration", "/nonexistent"],
      ["--configuration", bad],
    ]) {
      const { exitCode, stdout, stderr } = await doctor(user, ...args);
      assert.deepEqual([exitCode, stdout], [2, ""], args.join(" "));
      assert.match(stderr, /^ERROR: /);
    }
    const other = await doctor(user, "--user", "root");
    assert.equal(other.exitCode, 2);
    assert.match(other.stderr, /Only root can look as another user/);
  });

  it("says all for machines", async () => {
    const { stdout } = await doctor(
      user,
      "--json",
      "--check",
      "login",
      "--check",
      "limits",
      "--configuration",
      configuration(""),
    );
    const answer: unknown = JSON.parse(stdout);
    assert.ok(typeof answer === "object" && answer !== null && "checks" in answer && Array.isArray(answer.checks));
    const { checks, ...heading } = answer;
    assert.deepEqual(heading, {
      account: user.name,
      configuration: join(directory, "jacamar.toml"),
      machineOnly: false,
    });
    const shown = JSON.stringify(checks);
    assert.match(
      shown,
      /^\[\{"check":"login","kind":"ok","text":"[\d.]+ s","milliseconds":\d+\},\{"check":"limits","kind":"ok",/,
    );
  });

  describe("as root", { skip }, () => {
    it("looks at the machine alone", async () => {
      const { stdout } = await doctor(
        root,
        "--no-network",
        "--configuration",
        configuration('run_mechanism = "podman"\n'),
      );
      assert.match(stdout, /^ok {7}id-mapping /m);
      assert.doesNotMatch(stdout, /^\w+ +(?:login|podman) /m);
      assert.match(
        stdout,
        /Only the machine was looked at\. As a user's job would meet it: jacamar doctor --user NAME\n$/,
      );
    });

    it("becomes the user for good before it looks", async () => {
      // Podman stands for whatever is started of the user's: it tells what it is started with.
      const spy = join(directory, "podman");
      const told = join(directory, "told");
      writeFileSync(told, "");
      chmodSync(told, 0o666);
      writeFileSync(
        spy,
        `#!/bin/sh\ngrep -E '^(Uid|Gid|Groups|CapPrm|CapEff):' /proc/$PPID/status /proc/self/status >> ${told}\nexec podman "$@"\n`,
      );
      chmodSync(spy, 0o755);
      const file = configuration(`run_mechanism = "podman"\n[general.podman]\napplication_path = "${spy}"\n`);
      const { exitCode, stdout } = await doctor(
        root,
        "--user",
        user.name,
        "--configuration",
        file,
        "--check",
        "podman",
      );
      assert.equal(exitCode, 0, stdout);
      const lines = await asUser(root, ["cat", told]);
      assert.match(lines.stdout, new RegExp(`Uid:\\t${Array(4).fill(user.uid).join("\\t")}\n`));
      assert.doesNotMatch(lines.stdout, /(?:Uid|Gid):.*\t0\b|Cap\w+:\t0*[1-9a-f]/);
    });

    it("refuses an account that is none, or one of the system's", async () => {
      for (const [name, message] of [
        ["no-such-user-x", /There is no account "no-such-user-x"/],
        ["daemon", /is one of the system's, and runs no jobs/],
      ] as const) {
        const { exitCode, stderr } = await doctor(root, "--user", name);
        assert.equal(exitCode, 2);
        assert.match(stderr, message);
      }
    });
  });
});
