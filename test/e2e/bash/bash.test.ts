import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { asUser } from "../../harness/machine.ts";
import { assertOneMessage } from "../hostile-input/one-message.ts";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";
import { ScratchHome, withoutScratchHome } from "./scratch-home.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("bash");
});
after(() => jobs.close());

async function outputOf(job: AnyJob, script: string): Promise<string> {
  await job.ready();
  const run = await job.run("build_script", script);
  assert.equal(run.exitCode, 0, logOf(run));
  assert.equal(run.stderr, "");
  await job.cleanup();
  return run.stdout;
}

/** The variables of a text of NUL-ended entries, but for those that every Bash sets anew. */
function variablesOf(text: string): Record<string, string> {
  const entries = text.split("\0").filter((entry) => entry.trim() !== "" && !/^(?:_|SHLVL|PWD|OLDPWD)=/.test(entry));
  return Object.fromEntries(
    entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
}

describe("a script's environment on the host", () => {
  it("is what a login gives, JACAMAR_CI and JACAMAR_CI_SHELL, and nothing else", async () => {
    const { name, home } = jobs.user;
    const login = await asUser(jobs.user, ["bash", "-l", "-c", "env -0"], {
      env: { HOME: home, USER: name, LOGNAME: name, SHELL: "/bin/bash", PATH: "/usr/local/bin:/usr/bin:/bin" },
    });
    const { JACAMAR_CI, JACAMAR_CI_SHELL, XDG_RUNTIME_DIR, ...rest } = variablesOf(
      await outputOf(jobs.job(), "env -0"),
    );
    assert.deepEqual(rest, variablesOf(login.stdout));
    assert.equal(JACAMAR_CI, "true");
    assert.match(JACAMAR_CI_SHELL ?? "", /^\/(?:usr\/)?bin\/bash$/);
    // Only where the system has made one.
    if (XDG_RUNTIME_DIR !== undefined) assert.equal(XDG_RUNTIME_DIR, `/run/user/${jobs.user.uid}`);
  });

  it("has an empty input, an umask of 077, no positional arguments, and starts where the user may be", async () => {
    const script = 'wc -c; umask; echo "$#"; [ -w . ] && echo writable';
    assert.equal(await outputOf(jobs.job(), script), "0\n0077\n0\nwritable\n");
  });

  it("has no open file but its input and outputs", async () => {
    // Those that this test's own caller left open pass through everything.
    const inherited = await asUser(jobs.user, ["ls", "/proc/self/fd"]);
    assert.equal(await outputOf(jobs.job(), "ls /proc/self/fd"), inherited.stdout);
  });

  it("lets /dev/stdout, /dev/stderr and /dev/fd be opened anew", async () => {
    const job = jobs.job();
    await job.ready();
    const run = await job.run(
      "build_script",
      "echo 1 > /dev/stdout; echo 2 > /dev/stderr; echo 3 | tee -a /dev/stderr; cat <(echo 4)",
    );
    assert.deepEqual([run.exitCode, run.stdout, run.stderr], [0, "1\n3\n4\n", "2\n3\n"]);
  });

  it("has no terminal, and its signals are as they should be", async () => {
    const script = "[ ! -t 0 ] && [ ! -t 1 ] && echo no terminal; grep -E '^Sig(Ign|Blk)' /proc/self/status";
    const printed = await outputOf(jobs.job(), script);
    assert.equal(printed, "no terminal\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  });
});

describe("the start-up files of a login", { skip: withoutScratchHome }, () => {
  const files = {
    ".bash_profile": `export FROM_PROFILE=yes
      module() { echo "module $*"; }
      alias not_seen=true
      PATH=$PATH:/opt/site/bin
      echo from the profile >&2
      echo a greeting\n`,
    ".bashrc": "export FROM_BASHRC=yes\n",
  };
  let home: ScratchHome;
  before(() => {
    home = new ScratchHome(jobs.stage, files);
    writeFileSync(join(home.directory, "data", "x"), "");
  });
  after(() => home.remove());

  async function run(variables: Record<string, string>, script: string) {
    const job = jobs.keep(home.job({ variables }));
    await job.ready();
    const ended = await job.run("build_script", script);
    assert.equal(ended.exitCode, 0, logOf(ended));
    return ended;
  }
  const look = 'echo "$FROM_PROFILE $FROM_BASHRC $PATH"; type -t module || echo no module';

  it("are read: functions, variables and the PATH of the profile are there", async () => {
    const { stdout } = await run({}, `module load gcc/13; ${look}`);
    assert.match(stdout, /^module load gcc\/13$/m);
    assert.match(stdout, /^yes {2}\S+:\/opt\/site\/bin\nfunction$/m);
  });

  it("are not read at all with JACAMAR_NO_BASH_PROFILE", async () => {
    for (const value of ["true", "1", "TRUE"]) {
      const ended = await run({ JACAMAR_NO_BASH_PROFILE: value }, look);
      assert.equal(logOf(ended), "  /usr/local/bin:/usr/bin:/bin\nno module\n");
    }
  });

  it("are all read with JACAMAR_NO_BASH_PROFILE=false", async () => {
    assert.match((await run({ JACAMAR_NO_BASH_PROFILE: "false" }, look)).stdout, /^yes /m);
  });

  it("are /etc/profile alone with JACAMAR_ETC_PROFILE_ONLY", async () => {
    const { stdout } = await run(
      { JACAMAR_ETC_PROFILE_ONLY: "true" },
      `${look}; [ -z "$PS1" ] || echo has read /etc/profile`,
    );
    assert.match(stdout, /^ {2}\/usr\/local\/bin:\/usr\/bin:\/bin\S*\nno module\n/);
    const plain = await asUser(jobs.user, ["bash", "--noprofile", "--norc", "-c", ". /etc/profile; echo $PATH"], {
      env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    });
    assert.ok(stdout.includes(` ${plain.stdout}`), stdout);
  });

  it("may ask the terminal or wait for input without holding up the job", async () => {
    const asking = new ScratchHome(jobs.stage, { ".bash_profile": "read -r answer; stty -a; mesg n; tty\n" });
    const job = asking.job();
    try {
      await job.ready();
      assert.equal((await job.run("build_script", "echo has run", 20)).stdout.split("\n").at(-2), "has run");
      await job.cleanup();
    } finally {
      job.remove();
      asking.remove();
    }
  });
});

describe("shell_path", () => {
  it("is the Bash that runs the scripts", async () => {
    const wrapper = jobs.write("my-bash", '#!/bin/bash\necho "my own Bash, as $1 $2"\nexec /bin/bash "$@"\n', 0o700);
    const printed = await outputOf(jobs.job({ general: `shell_path = "${wrapper}"` }), 'echo "$JACAMAR_CI_SHELL"');
    assert.equal(printed, `my own Bash, as -l -c\n${wrapper}\n`);
  });

  for (const [what, path, reason] of [
    ["is not there", "/nonexistent/bash", "ENOENT"],
    ["is no program", "/etc/passwd", "EACCES"],
  ] as const) {
    it(`that ${what} is the administrator's mistake, and said so`, async () => {
      const job = jobs.job({ general: `shell_path = "${path}"` });
      const config = await job.config();
      // It may be seen early or late, but never as the job's failure.
      const failed = config.exitCode === 0 ? (await job.prepare(), await job.run("build_script", "true")) : config;
      assertOneMessage(failed, "system", new RegExp(`^ERROR: Cannot start the shell "${path}": ${reason}\\n`));
    });
  }
});
