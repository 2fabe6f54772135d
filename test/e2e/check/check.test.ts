import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { asUser, checkout, type Ended, testUser } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";

const user = testUser();
const good = '[general]\nexecutor = "shell"\ndata_dir = "$HOME/ci"\n';

describe("jacamar check", () => {
  let stage: Stage;
  let directory: string;
  before(() => {
    stage = stageBundle();
    directory = mkdtempSync("/var/tmp/jacamar-e2e-check-");
    if (process.getuid?.() === 0) chownSync(directory, user.uid, user.gid);
  });
  after(() => {
    stage.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  function write(name: string, text: string, mode = 0o600): string {
    const path = join(directory, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    if (process.getuid?.() === 0) chownSync(path, user.uid, user.gid);
    return path;
  }

  function check(...args: readonly string[]): Promise<Ended> {
    return asUser(user, [stage.jacamar, "check", ...args]);
  }

  it("ends with 0 for a good file, 1 for a problem, 2 where there is nothing to check", async () => {
    const path = write("good.toml", good);
    const fine = await check(path);
    assert.deepEqual([fine.exitCode, fine.stdout, fine.stderr], [0, `${path}: no problems, no warnings\n`, ""]);
    const bad = write("bad.toml", `${good}forse_mechanism = true\n`);
    const wrong = await check(bad);
    assert.equal(wrong.exitCode, 1);
    assert.equal(
      wrong.stdout,
      `${bad}:4:1: problem: general.forse_mechanism: is not a key of [general]; did you mean "force_mechanism"?\n${bad}: 1 problem, no warnings\n`,
    );
    for (const args of [["/nonexistent/x.toml"], [directory], ["--forse"], [path, path]]) {
      const ended = await check(...args);
      assert.deepEqual([ended.exitCode, ended.stdout], [2, ""], args.join(" "));
      assert.match(ended.stderr, /^ERROR: /);
    }
  });

  it("counts warnings with --strict alone, and says all for machines with --json", async () => {
    const path = write("warned.toml", `${good}force_mechanism = true\n`);
    assert.equal((await check(path)).exitCode, 0);
    assert.equal((await check("--strict", path)).exitCode, 1);
    const { exitCode, stdout } = await check("--json", path);
    assert.equal(exitCode, 0);
    assert.deepEqual(JSON.parse(stdout), {
      file: path,
      problems: [],
      warnings: [
        {
          file: path,
          line: 4,
          column: 1,
          path: "general.force_mechanism",
          message: "has no effect without general.run_mechanism",
          rule: "no-effect",
        },
      ],
    });
  });

  it("refuses a file that others can write, as a job does, unless it is for elsewhere", async () => {
    const path = write("open.toml", good, 0o666);
    const { exitCode, stdout } = await check(path);
    assert.equal(exitCode, 1);
    assert.match(stdout, /others than its owner can write it \(mode 0666\).*\[file-distrusted\]/);
    assert.equal((await check("--elsewhere", path)).exitCode, 0);
  });

  it("reads standard input, and compares with the runner's own file", async () => {
    const piped = await asUser(user, [stage.jacamar, "check", "-"], { input: good });
    assert.deepEqual([piped.exitCode, piped.stdout], [0, "standard input: no problems, no warnings\n"]);
    const path = write("jacamar.toml", good);
    const runner = write("config.toml", "concurrent = 1\n");
    const { exitCode, stdout } = await check("--runner-config", runner, path);
    assert.equal(exitCode, 0);
    assert.match(stdout, /config\.toml:1:1: warning: runners: no runner .*\[runner-unrelated\]/);
  });
});

describe("what is no configuration at all", () => {
  let stage: Stage;
  let directory: string;
  before(() => {
    stage = stageBundle();
    directory = mkdtempSync("/var/tmp/jacamar-e2e-odd-");
    chmodSync(directory, 0o755);
    writeFileSync(join(directory, "good.toml"), good);
    writeFileSync(join(directory, "latin1.toml"), Buffer.from('[[runners]]\nname = "\xe9"\n', "latin1"));
    writeFileSync(join(directory, "long.toml"), "#".repeat(1024 * 1024 + 1));
    execFileSync("mkfifo", ["-m", "0644", join(directory, "pipe")]);
    symlinkSync("loop", join(directory, "loop"));
  });
  after(() => {
    stage.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  /** By a shell, in the directory. One that waits for ever is ended, with 124. */
  function check(args: string): Promise<Ended> {
    return asUser(user, ["sh", "-c", `cd "$1" && exec timeout 60 "$2" check ${args}`, "-", directory, stage.jacamar]);
  }

  for (const [what, why] of [
    ["pipe", "it is not a regular file"],
    ["/dev/zero", "it is not a regular file"],
    [".", "it is not a regular file"],
    ["loop", "its symbolic links lead in a circle"],
    ["long.toml", "it is larger than 1 MiB"],
    ["nothere", "it does not exist"],
  ] as const) {
    it(`refuses ${what}, and waits for nothing`, async () => {
      const ours = await check(`"${what}"`);
      assert.deepEqual([ours.exitCode, ours.stdout], [2, ""]);
      assert.ok(ours.stderr.startsWith(`ERROR: Cannot use the configuration file "${what}": ${why}\n`), ours.stderr);
      const runners = await check(`--runner-config "${what}" good.toml`);
      assert.deepEqual(
        [runners.exitCode, runners.stdout, runners.stderr],
        [2, "", `ERROR: Cannot use the configuration of GitLab Runner "${what}": ${why}\n`],
      );
    });
  }

  it("places what is not UTF-8 in the runner's file", async () => {
    const { exitCode, stdout } = await check("--runner-config latin1.toml good.toml");
    assert.equal(exitCode, 1);
    assert.match(stdout, /^latin1\.toml:2:9: problem: this is not UTF-8\n/);
  });

  it("says that its output could not be written", async () => {
    const full = await check("--json good.toml > /dev/full");
    assert.deepEqual([full.exitCode, full.stderr], [2, "ERROR: Cannot write the output: ENOSPC\n"]);
    assert.equal((await check("--json good.toml | true")).exitCode, 0);
  });

  it("says that the working directory is gone", async () => {
    const line = `mkdir -p "$1/gone" && cd "$1/gone" && rmdir "$1/gone" && exec "$2" check good.toml`;
    const place = join(directory, "open");
    mkdirSync(place);
    chmodSync(place, 0o777);
    const ended = await asUser(user, ["sh", "-c", line, "-", place, stage.jacamar]);
    assert.equal(ended.exitCode, 2);
    assert.match(ended.stderr, /^ERROR: Cannot use the working directory: ENOENT\n {2}It may have been removed/m);
  });

  it("reads no more of standard input than a configuration can have", async () => {
    const endless = await check("- < /dev/zero");
    assert.equal(endless.exitCode, 2);
    assert.match(endless.stderr, /^ERROR: Cannot use the configuration on standard input: it is larger than 1 MiB\n/);
    const folder = await check("- < .");
    assert.equal(folder.exitCode, 2);
    assert.match(folder.stderr, /^ERROR: Cannot use the configuration on standard input: it is a directory\n/);
  });
});

describe("the JSON Schema in an editor's validator", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync("/var/tmp/jacamar-e2e-schema-");
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  /** Taplo is the language server behind the TOML support of most editors; it follows the `#:schema` line by itself. */
  function taplo(text: string): Promise<Ended> {
    const path = join(directory, "jacamar.toml");
    writeFileSync(path, `#:schema ${checkout("docs/jacamar.schema.json")}\n${text}`);
    const me = { name: "", uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, home: directory };
    const program = checkout("node_modules/@taplo/cli/dist/cli.js");
    return asUser(me, [process.execPath, program, "check", path]);
  }

  it("takes what the program takes", async () => {
    const ended = await taplo(`${good}run_mechanism = "podman"\n[general.podman]\nimage_allowlist = ['^a$']\n`);
    assert.equal(ended.exitCode, 0, ended.stderr);
  });

  for (const [what, text, message] of [
    ["an unknown key", `${good}forse_mechanism = true\n`, /'forse_mechanism' was unexpected/],
    ["a value of the wrong kind", `${good}retain_logs = "yes"\n`, /"yes" is not of type "boolean"/],
    ["a missing key", '[general]\nexecutor = "shell"\n', /"data_dir" is a required property/],
  ] as const) {
    it(`marks ${what}`, async () => {
      const ended = await taplo(text);
      assert.equal(ended.exitCode, 1);
      assert.match(ended.stderr, message);
    });
  }
});
