import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import fc from "fast-check";
import { gpuGrant } from "../../mechanism/podman/gpu-grant.ts";
import { schedulerVariables } from "../../mechanism/podman/scheduler-variables.ts";
import { capture } from "../../process/capture.ts";
import { type ContainerRun, jobFile, type JobFileSpec } from "./job-file.ts";
import { flux } from "./flux.ts";
import { lsf } from "./lsf.ts";
import { readOwnId } from "./own-id.ts";
import { pbs } from "./pbs.ts";
import { slurm } from "./slurm.ts";
import { shellWord, shellWords } from "./shell-word.ts";
import { readJobStart, readJobStatus } from "./status-file.ts";
import { setWanted } from "./wanted.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-job-file-"));
after(() => rmSync(directory, { recursive: true }));

const uid = process.getuid?.() ?? 0;
// A job file makes this for Podman where the system has made none. One that was there before, or is in use, stays.
const runtime = `/tmp/jacamar-ci-${uid}`;
if (!existsSync(runtime)) {
  after(() => {
    if (existsSync(runtime) && readdirSync(runtime).length === 0) rmdirSync(runtime);
  });
}

/** What a shell, a scheduler or printf could take for more than a character. */
const pieces = [
  " ",
  "'",
  '"',
  "\n",
  "\t",
  "\r",
  "$(echo ran >&2)",
  "`echo ran >&2`",
  "$HOME",
  "${PATH}",
  "%s",
  "%%",
  "%j",
  "\\",
  "\\n",
  "ü",
  "😀",
  "\u202e",
  "-",
  "--",
  "*",
  "?",
  "[a]",
  "!",
  "#",
  ";",
  "&",
  "|",
  "~",
  "<",
  ">",
  "(",
  ")",
  "{a,b}",
  "=",
  "a",
  "\x07",
  "\x1b[31m",
  "\x7f",
]; // prettier-ignore
const text = fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 8 }).map((list) => list.join(""));
const fileName = text.filter((name) => name !== "." && name !== ".." && Buffer.byteLength(name) < 100);

let count = 0;

interface Names {
  readonly directory: string;
  readonly file: string;
  readonly shell: string;
  readonly title: string;
  readonly profile: JobFileSpec["profile"];
}

const names: fc.Arbitrary<Names> = fc.record({
  directory: fileName,
  file: fileName,
  shell: fileName,
  title: text,
  profile: fc.constantFrom("login", "etc-profile-only", "none"),
});

/** A job whose every path is made of such names; its script is Bash. */
function makeJob(given: Names, script: string): JobFileSpec {
  count += 1;
  const home = join(directory, String(count));
  const place = join(home, given.directory);
  mkdirSync(join(home, "shell"), { recursive: true });
  mkdirSync(join(place, "work"), { recursive: true });
  const shellPath = join(home, "shell", given.shell);
  symlinkSync("/bin/bash", shellPath);
  const path = (kind: string) => join(place, `${given.file}.${kind}`);
  writeFileSync(path("script"), script);
  writeFileSync(path("wanted"), "yes\n");
  return {
    title: given.title,
    shellPath,
    profile: given.profile,
    files: {
      jobFile: path("job"),
      output: path("out"),
      log: path("log"),
      ownId: path("own-id"),
      started: path("started"),
      status: path("status"),
      stopping: path("stopping"),
      wanted: path("wanted"),
    },
    script: path("script"),
    scriptStatus: path("script-status"),
    memory: undefined,
    workingDirectory: join(place, "work"),
    ownId: slurm.ownId,
    nodeList: "echo 'node 1'; echo never shown",
    uid,
    stopGraceSeconds: 5,
    patienceSeconds: 5,
    container: undefined,
  };
}

/** Runs it as a scheduler does: a copy, by a shell of its choice, from somewhere else. */
async function run(spec: JobFileSpec, environment: Readonly<Record<string, string>> = {}, file = jobFile(spec)) {
  writeFileSync(spec.files.jobFile, file, { mode: 0o700 });
  const spool = join(directory, `spool ${count}`);
  copyFileSync(spec.files.jobFile, spool);
  const said = await capture(
    {
      argv: ["/bin/sh", spool],
      environment: { PATH: "/usr/bin:/bin", HOME: join(directory, String(count)), LC_ALL: "C.UTF-8", ...environment },
      workingDirectory: "/",
    },
    { timeoutSeconds: 60 },
  );
  return {
    exitCode: "exitCode" in said.ending ? said.ending.exitCode : undefined,
    said: said.stdout + said.stderr,
    output: readFileSync(spec.files.output, "utf8"),
    status: readJobStatus(spec.files.status),
    start: readJobStart(spec.files.started),
  };
}

/** A Podman that leaves its arguments and surroundings, and plays a container that ends with 7. */
function makePodman(place: string, name: string, status: string): string {
  const path = join(place, name);
  writeFileSync(
    path,
    `#!/bin/bash
here=\${0%/*}
case $1 in
  run)
    printf '%s\\0' "$@" >"$here/arguments"
    printf '%s\\0' "$PWD" "$XDG_RUNTIME_DIR" "$TMPDIR" >"$here/surroundings"
    echo in the container
    echo 7 >${shellWord(status)}
    exit 7 ;;
  ps | rm) exit 0 ;;
esac
`,
    { mode: 0o755 },
  );
  return path;
}

const plain: Names = { directory: "d", file: "build_script", shell: "bash", title: "Job file", profile: "login" };

describe("shellWord()", () => {
  test("is one word of Bash and of sh, whatever is in it", async () => {
    const lists = fc.array(fc.oneof(text, fc.string({ unit: "binary" })), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(lists, async (list) => {
        // A lone half of a surrogate pair is no text that a file or an argument could hold.
        const words = list.map((word) => word.replaceAll("\0", "").toWellFormed());
        for (const shell of ["/bin/bash", "/bin/sh"]) {
          const said = await capture(
            {
              argv: [shell, "-c", `printf '%s\\0' x ${shellWords(words)}`],
              environment: {},
              workingDirectory: "/",
            },
            { timeoutSeconds: 20 },
          );
          assert.deepEqual(said.stdout.split("\0"), ["x", ...words, ""]);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("refuses a NUL character, which no shell can hold", () => {
    assert.throws(() => shellWord("a\0b"));
  });
});

describe("jobFile()", () => {
  test("hands every name on unchanged to a script on the host, and runs none of them", async () => {
    await fc.assert(
      fc.asyncProperty(names, async (given) => {
        const spec = makeJob(
          given,
          `printf '%s\\0' "$PWD" "$JACAMAR_CI_SHELL" "$BASH"; echo "$#:$JACAMAR_CI" >&2; exit 7`,
        );
        const ended = await run(spec);
        assert.deepEqual(ended.output.split("\0"), [spec.workingDirectory, spec.shellPath, spec.shellPath, "0:true\n"]);
        assert.equal(ended.said, "");
        assert.equal(ended.exitCode, 7);
        const bytes = Buffer.byteLength(ended.output);
        assert.deepEqual({ ...ended.status, beganSeconds: 0, endedSeconds: 0 }, status(7, bytes));
        assert.equal(ended.start?.nodes, "node 1");
      }),
      { numRuns: 60 },
    );
  });

  test("hands every name and option on unchanged to Podman, and runs none of them", async () => {
    const options = fc.array(text, { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(names, options, text, text, text, async (given, list, image, argument, name) => {
        const spec = makeJob(given, "");
        const podman = makePodman(join(spec.workingDirectory, ".."), `${given.shell}.podman`, spec.scriptStatus);
        const container = containerRun({ podman, options: ["run", ...list], image, argument, name });
        const ended = await run({ ...spec, container });
        assert.equal(ended.said, "");
        assert.equal(ended.output, "in the container\n");
        assert.deepEqual(readWords(join(podman, "../arguments")), ["run", ...list, image, argument]);
        const [workingDirectory, runtimeDirectory = "", temporary] = readWords(join(podman, "../surroundings"));
        assert.equal(workingDirectory, spec.workingDirectory);
        assert.ok([`/run/user/${uid}`, runtime].includes(runtimeDirectory));
        assert.match(temporary ?? "", /^\/tmp\/jacamar-ci-[A-Za-z0-9]{8}$/);
        assert.deepEqual({ ...ended.status, beganSeconds: 0, endedSeconds: 0 }, status(7, 17));
        assert.equal(ended.exitCode, 7);
      }),
      { numRuns: 40 },
    );
  });

  test("adds the scheduler's variables to Podman's options by their names", async () => {
    const spec = makeJob(plain, "");
    const podman = makePodman(join(spec.workingDirectory, ".."), "podman", spec.scriptStatus);
    const onNode = [schedulerVariables, gpuGrant];
    await run(
      { ...spec, container: containerRun({ podman, options: ["run", "--rm"], onNode }) },
      { SLURM_JOB_ID: "$(id)" },
    );
    assert.deepEqual(readWords(join(podman, "../arguments")), [
      "run",
      "--env",
      "SLURM_JOB_ID",
      "--label",
      "jacamar-ci.batch=$(id)",
      "--rm",
      "image",
      "argument",
    ]);
  });

  // The script knows the job file's shell: it is a part of it.
  const signals: [
    what: string,
    script: string,
    output: string,
    ended: { script: number; signal: string | undefined },
  ][] = [
    [
      "tells the script to end when it is told itself, and lets it have its say",
      "trap 'echo told; exit 9' TERM; kill -TERM $$; while :; do :; done",
      "told\n",
      { script: 143, signal: "TERM" },
    ],
    [
      "does not tell a script that the scheduler has told already",
      `trap 'echo told' TERM; kill -TERM "$ci_canary" $$ 0; sleep 1; exit 9`,
      "told\n",
      { script: 143, signal: "TERM" },
    ],
    [
      "ends a script by force that does not heed it",
      "trap '' TERM; echo up; kill -TERM $$; sleep 20; echo never",
      "up\n",
      { script: 137, signal: "TERM" },
    ],
    [
      "hands on a signal for which the user has asked the scheduler, to the shell that has a trap for it",
      `(sleep 20 & pid=$!; trap 'echo usr1; got=1' USR1; kill -USR1 $$; until [ -n "\${got-}" ]; do sleep 0.05; done
        trap 'kill $pid && echo usr2; exit 3' USR2; kill -USR2 $$; while :; do sleep 0.05; done)`,
      "usr1\nusr2\n",
      { script: 3, signal: undefined },
    ],
    [
      "lets such a signal end a script that has no trap for it, and nothing else",
      "(kill -USR1 $$; while :; do sleep 0.05; done)",
      "User defined signal 1\n",
      { script: 138, signal: undefined },
    ],
  ];
  for (const [what, script, output, expected] of signals) {
    test(what, async () => {
      const spec = { ...makeJob(plain, script), stopGraceSeconds: 2 };
      const ended = await run(spec);
      assert.equal(ended.output, output);
      assert.deepEqual({ script: ended.status?.script, signal: ended.status?.signal }, expected);
      assert.equal(ended.said, "");
    });
  }

  test("hears what the script has heard before it", async () => {
    const spec = makeJob(plain, "exit 1");
    const ended = await run(spec, {}, replaced(jobFile(spec), "; then sleep 0.2; fi", "; then kill -TERM $$; fi"));
    assert.deepEqual([ended.status?.script, ended.status?.signal, ended.output], [1, "TERM", ""]);
  });

  test("ends a script of which it had not noted yet that it runs", async () => {
    const spec = {
      ...makeJob(plain, "trap '' TERM; kill -TERM $$; echo up; sleep 20; echo never"),
      stopGraceSeconds: 1,
    };
    const ended = await run(spec, {}, replaced(jobFile(spec), "\nci_child=$!", "\nsleep 0.5\nci_child=$!"));
    assert.deepEqual([ended.status?.script, ended.status?.signal], [137, "TERM"]);
    assert.deepEqual([ended.output, ended.said], ["up\n", ""]);
  });

  test("does not start a script after it was told to end", async () => {
    const spec = makeJob(plain, "echo never");
    const ended = await run(spec, {}, replaced(jobFile(spec), "\ncommand cd ", "\nkill -TERM $$; command cd "));
    const { script, client, signal } = ended.status ?? {};
    assert.deepEqual({ script, client, signal }, { script: undefined, client: 143, signal: "TERM" });
    assert.deepEqual([ended.output, ended.said, ended.exitCode], ["", "", 143]);
  });

  test("does not start a container after it was told to end, and leaves nothing on the node", async () => {
    const spec = makeJob(plain, "");
    const podman = makePodman(join(spec.workingDirectory, ".."), "podman", spec.scriptStatus);
    const temporary = join(spec.workingDirectory, "temporary");
    mkdirSync(temporary);
    const ended = await run(
      { ...spec, container: containerRun({ podman, onNode: ["kill -TERM $$"] }) },
      { TMPDIR: temporary },
    );
    const { script, client, signal } = ended.status ?? {};
    assert.deepEqual({ script, client, signal }, { script: undefined, client: 143, signal: "TERM" });
    assert.deepEqual([ended.output, ended.said, ended.exitCode], ["", "", 143]);
    assert.ok(!existsSync(join(podman, "../arguments")));
    assert.deepEqual(readdirSync(temporary), []);
  });

  test("ends a container of which it had not noted yet that it runs", async () => {
    const spec = { ...makeJob(plain, ""), stopGraceSeconds: 1 };
    const podman = join(spec.workingDirectory, "../podman");
    writeFileSync(
      podman,
      `#!/bin/bash\n[ "$1" = run ] && { kill -TERM "$PPID"; echo up; exec sleep 20; }; [ "$1" != ps ]\n`,
      { mode: 0o755 },
    );
    const given = { ...spec, container: containerRun({ podman }) };
    const ended = await run(given, {}, replaced(jobFile(given), "\nci_child=$!", "\nsleep 0.5\nci_child=$!"));
    assert.deepEqual([ended.status?.script, ended.status?.client, ended.status?.signal], [undefined, 137, "TERM"]);
    assert.deepEqual([ended.output, ended.said], ["up\n", ""]);
  });

  test("tells a container to end that did not run yet when it was told itself", async () => {
    const spec = makeJob(plain, "");
    const podman = join(spec.workingDirectory, "../podman");
    const [runs, told] = [shellWord(`${podman}.runs`), shellWord(`${podman}.told`)];
    writeFileSync(
      podman,
      `#!/bin/bash
      case $1 in
        run) kill -TERM "$PPID"; sleep 1; : >${runs}; until [ -e ${told} ]; do sleep 0.1; done; echo 9 >${shellWord(spec.scriptStatus)}; exit 9 ;;
        exec) [ -e ${runs} ] && : >${told} ;;
        ps) exit 1 ;;
      esac\n`,
      { mode: 0o755 },
    );
    const ended = await run({ ...spec, stopGraceSeconds: 60, container: containerRun({ podman }) });
    assert.deepEqual([ended.status?.script, ended.status?.client, ended.status?.signal], [9, 9, "TERM"]);
    assert.deepEqual([ended.output, ended.said], ["", ""]);
  });

  test("does not start a script when the driver told it to end during the login, when no signal was heeded", async () => {
    const spec = makeJob(plain, "echo never");
    const profile = `: >${shellWord(spec.files.stopping)}; kill -URG $$\n`;
    writeFileSync(join(directory, String(count), ".bash_profile"), profile);
    const ended = await run(spec);
    const { script, client, signal } = ended.status ?? {};
    assert.deepEqual({ script, client, signal }, { script: undefined, client: 143, signal: "TERM" });
    assert.deepEqual([ended.output, ended.said, ended.exitCode], ["", "", 143]);
  });

  test("forces a script to end also when it is told again meanwhile", async () => {
    const again = "trap '' TERM; echo up; kill -TERM $$; sleep 0.5; kill -TERM -- -$$; sleep 20; echo never";
    const ended = await run({ ...makeJob(plain, again), stopGraceSeconds: 2 });
    assert.deepEqual([ended.status?.script, ended.status?.signal, ended.output], [137, "TERM", "up\n"]);
  });

  // Each is told at another moment, and all that would end the script after the grace has to go with it.
  for (const [when, script, piece, by] of [
    ["while the script runs", "trap 'exit 3' TERM; kill -TERM $$; while :; do :; done", "", ""],
    ["when the script has just ended", "exit 3", "\nci_finish ", "\nkill -TERM $$; ci_finish "],
    ["as it leaves", "exit 3", "\nci_finish ", "\ntrap 'kill -URG $$; kill -USR1 $$' DEBUG; ci_finish "],
  ] as const) {
    test(`leaves no process behind when it is told to end ${when}`, async () => {
      const spec = { ...makeJob(plain, script), stopGraceSeconds: 14 };
      const mark = `JOB_FILE_TEST=${count}.${process.pid}`;
      const [name = "", value = ""] = mark.split("=");
      const whole = jobFile(spec);
      const ended = await run(spec, { [name]: value }, piece === "" ? whole : replaced(whole, piece, by));
      assert.ok(ended.status?.script === 3 || ended.status?.script === 143, JSON.stringify(ended));
      const deadline = performance.now() + 10_000;
      while (withMark(mark).length > 0 && performance.now() < deadline) await setTimeout(50);
      assert.deepEqual(withMark(mark), []);
    });
  }

  for (const [when, piece, by] of [
    ["before anything else", "\n  waited=0", "\n  kill -USR1 $$; waited=0"],
    ["before the script", "\nci_canary=$!", "\nkill -USR1 $$; kill -USR2 $$; ci_canary=$!"],
  ] as const) {
    test(`minds no signal for which the user has asked the scheduler ${when}`, async () => {
      const spec = makeJob(plain, "echo ran");
      const ended = await run(spec, {}, replaced(jobFile(spec), piece, by));
      assert.deepEqual([ended.status?.script, ended.output, ended.said], [0, "ran\n", ""]);
    });
  }

  for (const signal of ["USR1", "USR2"]) {
    test(`hands ${signal} on to a script of which it had not noted yet that it runs`, async () => {
      const spec = makeJob(plain, `trap 'echo heard; exit 3' ${signal}; while :; do sleep 0.05; done`);
      const early = `\nsleep 0.5; kill -${signal} $$\nci_child=$!`;
      const ended = await run(spec, {}, replaced(jobFile(spec), "\nci_child=$!", early));
      assert.deepEqual([ended.status?.script, ended.output, ended.said], [3, "heard\n", ""]);
    });
  }

  test("says nothing of what could not be made since all of the job was told to end, and leaves nothing on the node", async () => {
    for (const program of ["mktemp", "mkfifo"]) {
      const spec = makeJob(plain, "");
      const [temporary, programs] = ["temporary", "programs"].map((name) => join(spec.workingDirectory, name));
      for (const made of [temporary, programs]) mkdirSync(made ?? "");
      // It is told with this shell, and ends of it.
      writeFileSync(join(programs ?? "", program), `#!/bin/bash\nkill -TERM "$PPID" $$\n`, { mode: 0o755 });
      writeFileSync(join(directory, String(count), ".bash_profile"), `PATH=${shellWord(programs ?? "")}:$PATH\n`);
      const ended = await run({ ...spec, container: containerRun({ podman: "false" }) }, { TMPDIR: temporary ?? "" });
      assert.deepEqual([ended.status?.client, ended.status?.signal, ended.output], [143, "TERM", ""], program);
      assert.deepEqual(readdirSync(temporary ?? ""), []);
    }
  });

  test("is survived by a guard that removes the container, also when it is killed before that has begun", async () => {
    const spec = makeJob(plain, "");
    const temporary = join(spec.workingDirectory, "temporary");
    mkdirSync(temporary);
    const podman = join(spec.workingDirectory, "../podman");
    writeFileSync(podman, `#!/bin/bash\nprintf '%s\\n' "$*" >>${shellWord(`${podman}.said`)}\n`, { mode: 0o755 });
    const given = { ...spec, container: containerRun({ podman }) };
    const hasty = replaced(jobFile(given), "for wait in 0 1 2 4 8", "for wait in 0");
    const killed = replaced(hasty, '\nif [ -n "$ci_told" ]; then', '\nkill -KILL $$\nif [ -n "$ci_told" ]; then');
    await run(given, { TMPDIR: temporary }, killed);
    const deadline = performance.now() + 20_000;
    while (readdirSync(temporary).length > 0 && performance.now() < deadline) await setTimeout(50);
    assert.deepEqual(readdirSync(temporary), []);
    assert.equal(readFileSync(`${podman}.said`, "utf8"), "rm --force --time 0 --volumes --ignore jacamar-ci-7-ab\n");
  });

  test("forgets the end of a start before this one, and goes on writing behind its output", async () => {
    const spec = makeJob(plain, "echo second; exit 4");
    writeFileSync(spec.files.output, "first\n");
    writeFileSync(spec.files.status, "script=0 client=0 bytes=6 signal=none began=1 ended=1\n");
    const ended = await run(spec);
    assert.equal(ended.output, "first\nsecond\n");
    assert.equal(ended.status?.script, 4);
    assert.equal(ended.status?.bytes, 13);
  });

  test("counts what was written, whatever became of the output's name", async () => {
    const spec = makeJob(plain, "echo before");
    writeFileSync(
      spec.script,
      `echo before; mv ${shellWord(spec.files.output)} ${shellWord(spec.script)}.away; echo after`,
    );
    writeFileSync(spec.files.jobFile, jobFile(spec), { mode: 0o700 });
    const command = {
      argv: ["/bin/sh", spec.files.jobFile] as const,
      environment: { PATH: "/usr/bin:/bin", HOME: directory },
    };
    const said = await capture({ ...command, workingDirectory: "/" }, { timeoutSeconds: 20 });
    assert.equal(said.stderr, "");
    assert.equal(readJobStatus(spec.files.status)?.bytes, 13);
  });

  test("leaves a status where its output cannot be written", async () => {
    const spec = makeJob(plain, "echo ran");
    mkdirSync(spec.files.output);
    writeFileSync(spec.files.jobFile, jobFile(spec), { mode: 0o700 });
    const command = {
      argv: ["/bin/sh", spec.files.jobFile] as const,
      environment: { PATH: "/usr/bin:/bin", HOME: directory },
    };
    const said = await capture({ ...command, workingDirectory: "/" }, { timeoutSeconds: 20 });
    assert.match(said.stderr, /Is a directory/);
    const left = readJobStatus(spec.files.status);
    assert.deepEqual([left?.script, left?.client, left?.bytes], [undefined, 1, 0]);
  });

  test("leaves no exit status of the script where it could not run", async () => {
    const spec = makeJob(plain, "echo ran");
    rmSync(spec.workingDirectory, { recursive: true });
    writeFileSync(spec.files.output, "");
    const ended = await run(spec);
    assert.equal(ended.status?.script, undefined);
    assert.equal(ended.status?.client, 1);
    assert.equal(ended.output, "");
    assert.match(ended.said, /No such file or directory/);
  });

  test("leaves no status at all when a start-up file ends the shell", async () => {
    const spec = makeJob(plain, "echo ran");
    writeFileSync(join(directory, String(count), ".bash_profile"), "exit 0\n");
    writeFileSync(spec.files.output, "");
    const ended = await run(spec);
    assert.deepEqual([ended.status, ended.start, ended.output], [undefined, undefined, ""]);
  });

  test("waits for itself on a shared file system that shows it late", async () => {
    const spec = makeJob(plain, "echo ran");
    const spool = join(directory, "early spool");
    writeFileSync(spool, jobFile({ ...spec, patienceSeconds: 1 }));
    const said = await capture(
      { argv: ["/bin/sh", spool], environment: { PATH: "/usr/bin:/bin" }, workingDirectory: "/" },
      { timeoutSeconds: 20 },
    );
    assert.match(said.stderr, /^The job file does not appear on /);
    assert.deepEqual(said.ending, { exitCode: 1 });
  });

  test("does nothing when nobody waits for the job any more, though its files are there", async () => {
    const spec = makeJob(plain, "echo ran");
    const path = join(directory, "late spool");
    writeFileSync(path, jobFile({ ...spec, patienceSeconds: 0 }));
    writeFileSync(spec.files.jobFile, jobFile(spec), { mode: 0o700 });
    rmSync(spec.files.wanted);
    const said = await capture(
      { argv: ["/bin/sh", path], environment: { PATH: "/usr/bin:/bin" }, workingDirectory: "/" },
      { timeoutSeconds: 20 },
    );
    assert.deepEqual([said.stderr, said.ending], ["The CI job is over: nothing is done\n", { exitCode: 1 }]);
    for (const left of [spec.files.output, spec.files.started, spec.files.status]) assert.ok(!existsSync(left));
  });

  for (const [scheduler, environment, id] of [
    [slurm, { SLURM_JOB_ID: "17" }, "17"],
    [flux, { FLUX_ENCLOSING_ID: "\u0192CUfSXq" }, "\u0192CUfSXq"],
    [pbs, { PBS_JOBID: "17.server" }, "17.server"],
    [lsf, { LSB_JOBID: "17" }, "17"],
    [slurm, { SLURM_JOB_ID: "$(id) `id`%s\\n" }, undefined],
    [slurm, {}, undefined],
  ] as const) {
    test(`says what ${scheduler.title} calls it, ${JSON.stringify(environment)}`, async () => {
      const spec = { ...makeJob(plain, "echo ran"), ownId: scheduler.ownId };
      const ended = await run(spec, environment);
      assert.equal(readOwnId(spec.files.ownId), id);
      assert.deepEqual([ended.said, ended.output], ["", "ran\n"]);
    });
  }

  test("runs again under the same number, and not under another one", async () => {
    const spec = makeJob(plain, "echo ran");
    writeFileSync(spec.files.ownId, "17\n");
    assert.equal((await run(spec, { SLURM_JOB_ID: "17" })).output, "ran\n");
    rmSync(spec.files.status);
    const other = await run(spec, { SLURM_JOB_ID: "18" });
    assert.deepEqual([other.exitCode, other.status, other.output], [1, undefined, "ran\n"]);
    assert.equal(other.said, "The CI job runs as job 17: nothing is done\n");
    assert.equal(readOwnId(spec.files.ownId), "17");
  });

  test("runs once when it was submitted many times", async () => {
    const spec = makeJob(plain, "echo ran; sleep 0.5");
    const numbers = ["11", "12", "13", "14", "15", "16"];
    writeFileSync(spec.files.jobFile, jobFile(spec), { mode: 0o700 });
    const argv = ["/bin/sh", spec.files.jobFile] as const;
    const start = (number: string) => {
      const environment = { PATH: "/usr/bin:/bin", HOME: directory, SLURM_JOB_ID: number };
      return capture({ argv, environment, workingDirectory: "/" }, { timeoutSeconds: 60 });
    };
    const ended = await Promise.all(numbers.map(start));
    assert.equal(readFileSync(spec.files.output, "utf8"), "ran\n");
    assert.equal(ended.filter(({ ending }) => "exitCode" in ending && ending.exitCode === 0).length, 1);
    const left = readdirSync(join(spec.files.ownId, "..")).filter((name) => name.includes("own-id"));
    assert.deepEqual(left, ["build_script.own-id"]);
  });

  test("runs all the same where it cannot say what it is called", async () => {
    const spec = makeJob(plain, "echo ran");
    mkdirSync(spec.files.ownId);
    const ended = await run(spec, { SLURM_JOB_ID: "17" });
    assert.deepEqual([ended.said, ended.output], ["", "ran\n"]);
  });

  test("leaves a script its names, and minds none of what start-up files have made of names", async () => {
    const names =
      "output started status wanted script uid told code child end tell force pass leave nodes finish grace";
    const spec = makeJob(
      plain,
      `for name in ${names}; do echo "$name=\${!name-}" "$(type -t "$name")"; done; hello; date`,
    );
    const profile = `
      for name in ${names}; do export "$name=mine"; eval "$name() { echo my $name; }"; done
      unset -f pass; unset status
      shopt -s expand_aliases; alias hello="echo hi"; alias mv="echo moving" rm="echo removing"
      date() { echo today; }; wc() { echo many; }; cd() { builtin cd "$@" && echo here; }; set -o noclobber
    `;
    writeFileSync(join(directory, String(count), ".bash_profile"), profile);
    writeFileSync(spec.files.status, "script=0 client=0 bytes=6 signal=none began=1 ended=1\n");
    const ended = await run(spec);
    const lines = names
      .split(" ")
      .map((name) => `${name}=${name === "status" ? "" : "mine"} ${name === "pass" ? "" : "function"}`);
    assert.deepEqual([ended.said, ended.output.split("\n").slice(0, -1)], ["", [...lines, "hi", "today"]]);
    assert.equal(ended.status?.script, 0);
    assert.equal(ended.status?.bytes, Buffer.byteLength(ended.output));
  });

  test("waits to be known before it does anything but say what it is called", async () => {
    const spec = makeJob(plain, "echo ran");
    writeFileSync(spec.files.wanted, "perhaps\n");
    const running = run(spec, { SLURM_JOB_ID: "17" });
    while (readOwnId(spec.files.ownId) !== "17") await setTimeout(50);
    // It looks each second.
    await setTimeout(1500);
    const before = existsSync(spec.files.started);
    setWanted(spec.files.wanted, "yes");
    const ended = await running;
    assert.deepEqual([before, ended.output, ended.status?.script], [false, "ran\n", 0]);
  });

  test("does nothing when nobody waits any more after a long login", async () => {
    const spec = makeJob(plain, "echo ran");
    writeFileSync(join(directory, String(count), ".bash_profile"), `rm ${shellWord(spec.files.wanted)}\n`);
    writeFileSync(spec.files.output, "");
    const ended = await run(spec);
    assert.deepEqual([ended.status, ended.start, ended.output, ended.exitCode], [undefined, undefined, "", 1]);
    assert.equal(ended.said, "The CI job is over: nothing is done\n");
  });

  test("has no hook into the comments at its top", () => {
    const title = "first line\necho ran\r\u2028echo ran";
    const spec = { ...makeJob(plain, ""), title, script: "/d/\necho ran\n" };
    for (const line of jobFile(spec).split("\n").slice(1, 4)) assert.match(line, /^(#.*)?$/);
  });
});

const shellcheck = ["/usr/bin/shellcheck", "/usr/local/bin/shellcheck"].find(existsSync);

describe("the text of a job file", () => {
  const profiles = ["login", "etc-profile-only", "none"] as const;
  const containers: [what: string, container: ContainerRun | undefined][] = [
    ["on the host", undefined],
    ["in a container", containerRun({ options: ["run", "--rm", "it's"], onNode: [schedulerVariables, gpuGrant] })],
    ["in a container that stays", containerRun({ keepEnded: true, onNode: [schedulerVariables] })],
  ];
  for (const [what, container] of containers) {
    for (const profile of profiles) {
      test(`is right in Bash's eyes, ${what}, profile ${profile}`, async () => {
        const path = write({ ...makeJob({ ...plain, profile }, ""), container });
        const said = await check(["/bin/bash", "-n", path]);
        assert.deepEqual(said, "");
      });
    }

    test(`has nothing that shellcheck would mend, ${what}`, { skip: skipReason() }, async () => {
      const path = write({ ...makeJob(plain, ""), container });
      // Its first part is for any sh, the rest for the Bash that it starts itself in.
      const said = await check([shellcheck ?? "", "--shell=bash", "--format=gcc", ...excluded, path]);
      assert.equal(said, "");
    });
  }

  test("begins with a part that any sh can read", { skip: skipReason() }, async () => {
    const whole = jobFile(makeJob(plain, ""));
    const path = join(directory, "beginning");
    writeFileSync(path, whole.slice(0, whole.indexOf("set +e")));
    assert.equal(await check([shellcheck ?? "", "--shell=sh", "--format=gcc", path]), "");
    assert.equal(await check(["/bin/sh", "-n", path]), "");
  });

  /** What shellcheck cannot know of this file, and what it would write in another way. */
  const excluded = [
    "SC2317", // functions and lines that only a trap calls
    "SC2034", // variables that only the host's or only the container's part reads, and local ones for a callee
    "SC1090", // the script of the job
    "SC2016", // what another shell is to expand
    "SC2015", // A && B || C, where C is for a B that fails, too
    "SC2217", // sleep, which reads nothing, gets nothing to read
    "SC1007", // local a= b=
    "SC2018", // a-z, where the locale is C
    "SC2019",
  ].map((code) => `--exclude=${code}`);

  function write(spec: JobFileSpec): string {
    writeFileSync(spec.files.jobFile, jobFile(spec));
    return spec.files.jobFile;
  }

  async function check(argv: readonly [string, ...string[]]): Promise<string> {
    const said = await capture(
      { argv, environment: { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8" }, workingDirectory: directory },
      { timeoutSeconds: 60 },
    );
    return said.stdout + said.stderr;
  }

  function skipReason(): string | false {
    return shellcheck === undefined ? "this machine has no shellcheck" : false;
  }
});

/** Command lines of the processes that have such a variable. */
function withMark(variable: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      return environment.includes(variable) ? [readFileSync(`/proc/${pid}/cmdline`, "utf8")] : [];
    } catch {
      return [];
    }
  });
}

/** The text with one piece of it changed, which must be there. */
function replaced(whole: string, piece: string, by: string): string {
  assert.equal(whole.split(piece).length, 2, piece);
  return whole.replace(piece, () => by);
}

function containerRun(given: Partial<ContainerRun>): ContainerRun {
  return {
    podman: "podman",
    options: ["run"],
    image: "image",
    argument: "argument",
    name: "jacamar-ci-7-ab",
    keepEnded: false,
    onNode: [],
    ...given,
  };
}

function readWords(path: string): string[] {
  return readFileSync(path, "utf8").split("\0").slice(0, -1);
}

function status(script: number, bytes: number) {
  return { script, client: script, bytes, signal: undefined, beganSeconds: 0, endedSeconds: 0 };
}
