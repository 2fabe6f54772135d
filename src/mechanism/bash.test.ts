import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../process/capture.ts";
import { shellExitCode } from "../process/command.ts";
import { readStatus, writeNew } from "../workspace/script-files.ts";
import { bashEnvironment, bashProgram, bashScript, loginBeginning, type Profile } from "./bash.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-bash-"));
after(() => rmSync(directory, { recursive: true }));

const bash = "/bin/bash";
let count = 0;

/** A home with start-up files. */
function home(files: Readonly<Record<string, string>> = {}): string {
  count += 1;
  const path = join(directory, `home ${count}`);
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

function begin(at: string) {
  return loginBeginning({ name: "alice", uid: 1001, gid: 1001, home: at, shell: "/bin/zsh" }, bash, undefined);
}

async function runIn(at: string, argv: readonly [string, ...string[]], more: Readonly<Record<string, string>> = {}) {
  const command = { argv, environment: { ...begin(at), ...more }, workingDirectory: at };
  const said = await capture(command, { timeoutSeconds: 20 });
  return { ...said, code: shellExitCode(said.ending, constants.signals) };
}

async function runScript(text: string, profile: Profile = "login", files: Readonly<Record<string, string>> = {}) {
  const at = home(files);
  const script = join(at, 'it\'s a $(script) "x".bash');
  writeNew(script, text, 0o700);
  const said = await runIn(at, bashScript(bash, profile, script));
  return { ...said, status: readStatus(script), at, script };
}

describe("loginBeginning()", () => {
  test("has what a login gives, our two variables, and nothing else", () => {
    const account = { name: "alice", uid: 1001, gid: 1001, home: "/home/alice", shell: "/bin/zsh" };
    const expected = {
      HOME: "/home/alice",
      USER: "alice",
      LOGNAME: "alice",
      SHELL: "/bin/zsh",
      PATH: "/usr/local/bin:/usr/bin:/bin",
      JACAMAR_CI: "true",
      JACAMAR_CI_SHELL: "/bin/bash",
    };
    assert.deepEqual(loginBeginning(account, bash, undefined), expected);
    const withRuntime = { ...expected, XDG_RUNTIME_DIR: "/run/user/1001" };
    assert.deepEqual(loginBeginning(account, bash, "/run/user/1001"), withRuntime);
  });
});

describe("bashScript()", () => {
  for (const code of [0, 1, 2, 125, 126, 127, 137, 255]) {
    test(`leaves the status of a script that ends with ${code}`, async () => {
      const ended = await runScript(`exit ${code}`);
      assert.deepEqual([ended.status, ended.stdout, ended.stderr], [code, "", ""]);
    });
  }

  test("leaves 128 and the number of a signal that ended the script", async () => {
    assert.equal((await runScript("kill -KILL $BASHPID")).status, 137);
    assert.equal((await runScript("kill -SEGV $BASHPID")).status, 139);
  });

  test("leaves the status of a script in the runner's form, with a failing ~/.bash_logout", async () => {
    const generated = "set -o errexit\nset +o noclobber\n(eval 'echo out; false; echo never') < /dev/null\nexit 0\n";
    const ended = await runScript(generated, "login", { ".bash_logout": "echo logout; false\n", ".bash_profile": "" });
    assert.deepEqual([ended.status, ended.stdout], [1, "out\n"]);
    const good = await runScript("set -e\n(echo out)\nexit 0\n", "login", { ".bash_logout": "false\n" });
    assert.deepEqual([good.status, good.stdout], [0, "out\n"]);
  });

  test("gives the script the functions and options of the profile, not more", async () => {
    const files = { ".bash_profile": "module() { echo loaded $1; }\nset -e -u -C\n" };
    const ended = await runScript("module x; echo $#; exit 3", "login", files);
    assert.deepEqual([ended.status, ended.stdout], [3, "loaded x\n0\n"]);
  });

  for (const [what, profile] of [
    ["calls exit", "exit 0\n"],
    ["fails with errexit", "set -e; false\n"],
    ["calls exec", "exec true\n"],
    ["kills its shell", "kill -KILL $$\n"],
  ]) {
    test(`leaves no status where the profile ${what}`, async () => {
      const ended = await runScript("echo ran; exit 0", "login", { ".bash_profile": profile ?? "" });
      assert.deepEqual([ended.status, ended.stdout], [undefined, ""]);
    });
  }

  test("reads the start-up files that are asked for, and no other", async () => {
    const files = { ".bash_profile": "P=$P:profile", ".bashrc": "P=$P:rc", ".profile": "P=$P:sh", env: "P=$P:env" };
    const read = async (profile: Profile) => (await runScript('echo "$P ${PS1-none}"', profile, files)).stdout;
    assert.equal(await read("login"), ":profile none\n");
    assert.equal(await read("none"), " none\n");
    assert.equal((await read("etc-profile-only")).includes("profile"), false);
  });

  test("reads /etc/profile for a login and for etc-profile-only alone", {
    skip: !existsSync("/etc/profile") && "there is no /etc/profile",
  }, async () => {
    const traced = async (profile: Profile) => {
      const at = home();
      writeNew(join(at, "x.bash"), "exit 0", 0o700);
      const [program, ...rest] = bashScript(bash, profile, join(at, "x.bash"));
      const talking = rest.flatMap((argument) => (argument === "-c" ? ["-v", "-c"] : [argument]));
      return (await runIn(at, [program, ...talking])).stderr.includes("/etc/profile");
    };
    assert.deepEqual(
      [await traced("login"), await traced("etc-profile-only"), await traced("none")],
      [true, true, false],
    );
  });

  test("does not begin a script after SIGTERM", async () => {
    const at = home();
    const script = join(at, "x.bash");
    writeNew(script, "echo ran\n", 0o700);
    const argv = bashScript(bash, "none", script);
    const told = argv.map((word) => word.replace("TERM; ", () => "TERM; kill -TERM $$; "));
    assert.notDeepEqual(told, argv);
    const ended = await runIn(at, [bash, ...told.slice(1)]);
    assert.deepEqual([ended.stdout, ended.stderr, readStatus(script), ended.code], ["", "", 143, 143]);
  });

  test("has status 143 after SIGTERM, once the script's own trap has had its say", async () => {
    const at = home();
    const script = join(at, "x.bash");
    writeNew(script, "trap 'sleep 0.2; echo trapped; exit 7' TERM\n(sleep 0.2; kill -TERM 0) & wait\n", 0o700);
    const ended = await runIn(at, bashScript(bash, "none", script));
    assert.deepEqual([ended.stdout, readStatus(script)], ["trapped\n", 143]);
  });
});

describe("bashEnvironment()", () => {
  test("writes what the profile has set, and nothing else", async () => {
    const at = home({ ".bash_profile": "echo noise; echo noise >&2; export A='b\nc' PATH=/x:$PATH\nP=unexported\n" });
    const command = {
      argv: bashEnvironment(bash, "login", `${at}/name`),
      environment: begin(at),
      workingDirectory: at,
    };
    const said = await capture(command, { timeoutSeconds: 20, answerOnDescriptor3: true });
    const names = said.stdout.split("\0").map((entry) => entry.split("=")[0] ?? "");
    const shells = ["_", "PWD", "SHLVL", "OLDPWD", ""];
    assert.deepEqual(
      new Set(names.filter((name) => !shells.includes(name))),
      new Set([...Object.keys(begin(at)), "A"]),
    );
    assert.ok(said.stdout.includes("\0A=b\nc\0") || said.stdout.startsWith("A=b\nc\0"));
    assert.match(said.stdout, /(?:^|\0)PATH=\/x:/);
    assert.ok(!said.stdout.includes("noise"));
  });
});

describe("bashProgram()", () => {
  test("runs a program at any path, in the environment of the profile, and gives its exit code on", async () => {
    const at = home({ ".bash_profile": "export A=profile\n" });
    const program = join(at, "it's $(id) ü");
    writeFileSync(program, '#!/bin/sh\necho "$A $0 $#"\nexit 9\n');
    chmodSync(program, 0o700);
    for (const [profile, a] of [
      ["login", "profile"],
      ["none", ""],
    ] as const) {
      const said = await runIn(at, bashProgram(bash, profile, program, `${at}/name`));
      assert.deepEqual([said.stdout, said.code], [`${a} ${program} 0\n`, 9]);
    }
  });

  test("says what is not there, with Bash's own code", async () => {
    const said = await runIn(home(), bashProgram(bash, "none", "/no/such", "name"));
    assert.equal(said.code, 127);
    assert.match(said.stderr, /\/no\/such/);
  });
});

test("nothing of the runner's environment steers the shell", async () => {
  const at = home();
  writeFileSync(join(at, "evil"), "echo evil\n");
  writeNew(join(at, "x.bash"), "echo ran", 0o700);
  // What the runner's process has is not handed on; only this module's environment is.
  process.env["BASH_ENV"] = join(at, "evil");
  const ended = await runIn(at, bashScript(bash, "none", join(at, "x.bash")));
  delete process.env["BASH_ENV"];
  assert.equal(ended.stdout, "ran\n");
  assert.ok(readFileSync(join(at, "x.bash.status"), "utf8"));
});
