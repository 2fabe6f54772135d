import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findProgram, openPrograms, programEnvironment, type ProgramsOptions } from "./programs.ts";
import { slurm } from "./slurm.ts";

const beginning = { HOME: "/home/alice", PATH: "/usr/bin:/bin" };

function options(given: Partial<ProgramsOptions>): ProgramsOptions {
  return { beginning, login: {}, directory: undefined, assignments: [], workingDirectory: "/", ...given };
}

describe("programEnvironment()", () => {
  test("is a login's beginning and what the login says of the scheduler, and nothing else", () => {
    const login = {
      PATH: "/opt/evil",
      LD_PRELOAD: "/x.so",
      BASH_ENV: "/x",
      SECRET: "s",
      SLURM_CONF: "/etc/slurm.conf",
      SBATCH_ACCOUNT: "a",
      SLURMD_DEBUG: "1",
      MY_SLURM_CONF: "x",
      SLURM: "x",
    };
    assert.deepEqual(programEnvironment(slurm, options({ login })), {
      ...beginning,
      SLURM_CONF: "/etc/slurm.conf",
      SBATCH_ACCOUNT: "a",
      SLURMD_DEBUG: "1",
    });
  });

  test("leaves out what would change a submission in what is ours, whoever says it", () => {
    const login = { SBATCH_ARRAY_INX: "1-9", SBATCH_WAIT: "1", SBATCH_ERROR: "/tmp/x", SBATCH_QOS: "ci" };
    const environment = programEnvironment(
      slurm,
      options({ login, assignments: ["SBATCH_JOB_NAME=x", "SBATCH_WAIT=1"] }),
    );
    assert.deepEqual(environment, { ...beginning, SBATCH_QOS: "ci" });
  });

  test("lets the administrator's variables win", () => {
    const login = { SLURM_CONF: "/home/alice/slurm.conf" };
    const assignments = ["SLURM_CONF=/etc/slurm.conf", "PATH=/opt/slurm/bin"];
    const environment = programEnvironment(slurm, options({ login, assignments }));
    assert.equal(environment["SLURM_CONF"], "/etc/slurm.conf");
    assert.equal(environment["PATH"], "/opt/slurm/bin");
  });

  const login = { HOME: "/home/alice", A: "1", A1: "2", EVIL: "$(id) $A `id`", EMPTY: "" };
  const table: [text: string, value: string][] = [
    ["plain", "plain"],
    ["", ""],
    ["a=b=c", "a=b=c"],
    ["$HOME/x", "/home/alice/x"],
    ["${HOME}x", "/home/alicex"],
    ["$A1", "2"],
    ["${A}1", "11"],
    ["$A:$A:${A}", "1:1:1"],
    ["$UNSET|${UNSET}|$EMPTY", "||"],
    // What a variable holds is not looked at again.
    ["$EVIL", "$(id) $A `id`"],
    // All that a shell knows beside it stays what it is.
    ["$(id) `id` ~ * $$ $1 $? ${A:-x} ${} $ \\$A", "$(id) `id` ~ * $$ $1 $? ${A:-x} ${} $ \\1"],
    ["$constructor", ""],
    ["$&$`", "$&$`"],
  ];
  for (const [text, value] of table) {
    test(`makes ${JSON.stringify(value)} of ${JSON.stringify(text)}`, () => {
      const environment = programEnvironment(slurm, options({ login, assignments: [`X=${text}`] }));
      assert.equal(environment["X"], value);
    });
  }
});

describe("the scheduler's programs", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "jacamar-programs-"));
    for (const name of ["a", "b", "c"]) mkdirSync(join(directory, name));
    program(
      "b",
      "sbatch",
      'echo "b $#:$1"; echo "$SLURM_CONF" >&2; env | grep -v ^_= | cut -d= -f1 | sort | tr "\\n" " "; exit 3',
    );
    program("c", "sbatch", "echo c");
    program("c", "squeue", "exit 0");
    program("c", "scancel", "kill -KILL $$");
    writeFileSync(join(directory, "a/sbatch"), "#!/bin/sh\n", { mode: 0o644 });
    writeFileSync(join(directory, "b/sacct"), "#!/no/such/interpreter\n", { mode: 0o755 });
  });
  after(() => rmSync(directory, { recursive: true }));

  test("are found where the administrator says, and only there", () => {
    const here = { directory: join(directory, "c"), login: { PATH: join(directory, "b") } };
    assert.equal(findProgram("sbatch", slurm, here), join(directory, "c/sbatch"));
    assert.throws(() => findProgram("sacct", slurm, here), {
      code: "scheduler_unavailable",
      message: `There is no sacct in ${here.directory}`,
      hint: /Slurm's programs.*scheduler_bin/,
    });
  });

  test("are else the first on the login's PATH that can be run; entries that are no absolute path are passed over", () => {
    const login = { PATH: `:.:b:${["nowhere", "a", "b", "c"].map((name) => join(directory, name)).join(":")}` };
    assert.equal(findProgram("sbatch", slurm, { directory: undefined, login }), join(directory, "b/sbatch"));
    assert.throws(() => findProgram("sbatch", slurm, { directory: undefined, login: {} }), {
      code: "scheduler_unavailable",
    });
  });

  test("get their arguments as they are, and no environment but what was made for them", async () => {
    const call = openPrograms(slurm, options({ directory: join(directory, "b"), assignments: ["SLURM_CONF=/a b"] }));
    const { exitCode, stdout, stderr } = await call(["sbatch", "$(id) 'x\n", "y"]);
    assert.equal(exitCode, 3);
    assert.equal(stderr, "/a b\n");
    assert.equal(stdout, "b 2:$(id) 'x\n\nHOME PATH PWD SLURM_CONF ");
  });

  test("have no exit code when a signal ended them", async () => {
    const call = openPrograms(slurm, options({ directory: join(directory, "c") }));
    assert.deepEqual(await call(["scancel"]), { exitCode: undefined, stdout: "", stderr: "" });
    assert.deepEqual(await call(["squeue"]), { exitCode: 0, stdout: "", stderr: "" });
  });

  test("are the site's fault when they are missing or cannot be started", async () => {
    const call = openPrograms(slurm, options({ directory: join(directory, "b") }));
    await assert.rejects(call(["squeue"]), { code: "scheduler_unavailable", message: /There is no squeue/ });
    await assert.rejects(call(["sacct"]), { code: "scheduler_unavailable", message: /Cannot start .*sacct": ENOENT/ });
  });

  function program(place: string, name: string, body: string): void {
    const path = join(directory, place, name);
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
  }
});
