import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test, { afterEach } from "node:test";
import { capture } from "../../../src/process/capture.ts";
import { TryBench } from "./harness.ts";

const example = readFileSync(join(import.meta.dirname, "../../../examples/hello/.gitlab-ci.yml"), "utf8");
const benches: TryBench[] = [];
afterEach(() => {
  for (const bench of benches.splice(0)) {
    assert.deepEqual(readdirSync(bench.leftOver()), [], "temporary files are left");
    bench.remove();
  }
});

function bench(pipeline: string, files: Readonly<Record<string, string>> = {}): TryBench {
  const one = new TryBench(pipeline, files);
  benches.push(one);
  return one;
}

test("the specification's example runs: an artifact goes from one job to the next", async () => {
  const one = bench(example);
  const { exitCode, stdout, raw } = await one.run();
  assert.equal(exitCode, 0, stdout);
  assert.match(stdout, /Using Custom executor with driver fake 1\.\.\./);
  assert.match(stdout, /date\.txt: found 1 matching artifact files and directories/);
  assert.match(stdout, /Downloading artifacts for hello-host \(\d+\)\.\.\./);
  assert.match(stdout, /\$ cat date\.txt\n.* 20\d\d\n/);
  assert.match(stdout, /hello-container +passed/);
  assert.doesNotMatch(stdout, /payload|not to be seen/);
  assert.ok(raw.includes("\x1b[32;1m$ cat date.txt\x1b[0;m\n"));
  assert.ok(!raw.includes("\x1b[36;1m"), "own colours are for terminals only");
  assert.deepEqual(one.calls(), [
    "config",
    "prepare",
    "prepare_script",
    "get_sources",
    "build_script",
    "after_script",
    "upload_artifacts_on_success",
    "cleanup_file_variables",
    "cleanup",
    "config",
    "prepare",
    "prepare_script",
    "get_sources",
    "download_artifacts",
    "build_script",
    "after_script",
    "cleanup_file_variables",
    "cleanup",
  ]);
});

for (const [what, script, hooks, code, said] of [
  ["a script that fails", "exit 3", {}, 1, "ERROR: Job failed: exit status 3"],
  ["exit 1", "exit 1", {}, 1, "ERROR: Job failed: exit status 1"],
  ["exit 125", "exit 125", {}, 1, "ERROR: Job failed: exit status 125"],
  [
    "a driver that exits with 2",
    "true",
    { FAKE_BUILD_SCRIPT: "exit 2" },
    2,
    "ERROR: Job failed (system failure): exit status 2",
  ],
  [
    "a driver that exits with something else",
    "true",
    { FAKE_BUILD_SCRIPT: "exit 77" },
    2,
    "unknown Custom executor executable exit code 77; executable execution terminated with: exit status 77",
  ],
  [
    "a driver that is killed",
    "true",
    { FAKE_BUILD_SCRIPT: "kill -9 $$" },
    2,
    "unknown Custom executor executable exit code -1; executable execution terminated with: signal: SIGKILL",
  ],
  [
    "an exit code file that holds no number",
    "true",
    { FAKE_BUILD_SCRIPT: 'echo " 3" > "$BUILD_EXIT_CODE_FILE"; exit 1' },
    2,
    "unknown Custom executor executable exit code 2",
  ],
  [
    "only the first line of the exit code file",
    "true",
    { FAKE_BUILD_SCRIPT: 'printf "7\\nmore\\n" > "$BUILD_EXIT_CODE_FILE"; exit 1' },
    1,
    "ERROR: Job failed: exit status 7",
  ],
  ["prepare_script that fails", "true", { FAKE_PREPARE_SCRIPT: "exit 1" }, 1, "prepare environment: exit status 1"],
  [
    "a builds_dir that is not given",
    "true",
    { FAKE_CONFIG: "echo '{}'; exit 0" },
    1,
    "the builds_dir is not configured",
  ],
] as const) {
  test(`the result is the runner's: ${what}`, async () => {
    const one = bench(`job: {script: ['${script}']}`);
    const { exitCode, stdout } = await one.run([], hooks);
    assert.equal(exitCode, code, stdout);
    assert.ok(stdout.includes(said), stdout);
    assert.equal(one.calls().at(-1), "cleanup");
  });
}

test("prepare is tried three times, with a clean-up between, each with a directory of its own", async () => {
  const one = bench("job: {script: ['true']}");
  const hook = { FAKE_PREPARE: 'pwd >> "$FAKE_HOME/dirs"; exit 2' };
  const { exitCode, stdout } = await one.run([], hook);
  assert.equal(exitCode, 2);
  assert.deepEqual(one.calls(), [
    "config",
    "prepare",
    "cleanup",
    "config",
    "prepare",
    "cleanup",
    "config",
    "prepare",
    "cleanup",
  ]);
  assert.equal(stdout.match(/Preparation failed: exit status 2\n/g)?.length, 2);
  assert.equal(new Set(readFileSync(join(one.home, "dirs"), "utf8").trim().split("\n")).size, 3);
});

test("prepare recovers on another attempt; exit 1 is not tried again", async () => {
  const again = bench("job: {script: ['true']}");
  const once = { FAKE_PREPARE: '[ -e "$FAKE_HOME/once" ] || { touch "$FAKE_HOME/once"; exit 2; }' };
  assert.equal((await again.run([], once)).exitCode, 0);
  const refused = bench("job: {script: ['true']}");
  assert.equal((await refused.run([], { FAKE_PREPARE: "exit 1" })).exitCode, 1);
  assert.deepEqual(refused.calls(), ["config", "prepare", "cleanup"]);
});

test("the driver gets the contract's environment, directory, response file and script", async () => {
  const one = bench(
    "job:\n  image: {name: 'img:$TAG', entrypoint: ['']}\n  variables: {TAG: '7', LESS: '<&>'}\n  script: ['echo hi']\n",
  );
  const look = `{ env; stat -c 'mode %a %n' -- . response.json "\${2:-.}"; pwd; } > "$FAKE_HOME/$stage.txt"; cat "$JOB_RESPONSE_FILE" > "$FAKE_HOME/response"`;
  const { exitCode, stdout } = await one.run(["--variable", "GIVEN=by hand"], {
    FAKE_CONFIG: look,
    FAKE_PREPARE: look,
    FAKE_BUILD_SCRIPT: look,
    CUSTOM_ENV_STALE: "of an outer job",
  });
  assert.equal(exitCode, 0, stdout);
  const seen = (stage: string) => readFileSync(join(one.home, `${stage}.txt`), "utf8");
  const [config, prepare, run] = [seen("config"), seen("prepare"), seen("build_script")];
  for (const text of [config, prepare, run]) {
    const directory = /^TMPDIR=(.*)$/m.exec(text)?.[1] ?? "";
    assert.match(directory, /custom-executor/);
    assert.equal(text.trim().split("\n").at(-1), directory);
    for (const line of [
      "BUILD_FAILURE_EXIT_CODE=1",
      "SYSTEM_FAILURE_EXIT_CODE=2",
      `BUILD_EXIT_CODE_FILE=${directory}/build_exit_code`,
      `JOB_RESPONSE_FILE=${directory}/response.json`,
      "CUSTOM_ENV_CI_JOB_IMAGE=img:7",
      "CUSTOM_ENV_CI_JOB_SERVICES=",
      "CUSTOM_ENV_CI_JOB_STATUS=running",
      "CUSTOM_ENV_CI_RUNNER_SHORT_TOKEN=try-local",
      "CUSTOM_ENV_GIVEN=by hand",
      "mode 700 .",
      "mode 600 response.json",
    ]) {
      assert.ok(text.split("\n").includes(line), `${line} is missing in ${text}`);
    }
    assert.doesNotMatch(text, /STALE/);
  }
  assert.match(config, /^CUSTOM_ENV_CI_BUILDS_DIR=$/m);
  assert.match(config, /^CUSTOM_ENV_RUNNER_TEMP_PROJECT_DIR=\.tmp$/m);
  assert.doesNotMatch(config, /^FAKE_STATE=/m);
  assert.match(prepare, /^FAKE_STATE=from config$/m);
  const project = join(one.home, "builds", "try-local", "0");
  assert.ok(prepare.includes(`CUSTOM_ENV_CI_BUILDS_DIR=${join(one.home, "builds")}\n`));
  assert.ok(prepare.includes(`CUSTOM_ENV_CI_PROJECT_DIR=${project}/`));
  assert.match(run, /mode 700 .*\/custom-executor\w+\/script\w+\/script$/m);

  const text = readFileSync(join(one.home, "response"), "utf8");
  assert.ok(text.includes("\\u003c\\u0026\\u003e") && text.endsWith("}\n") && text.split("\n").length === 2);
  const response: unknown = JSON.parse(text);
  assert.ok(typeof response === "object" && response !== null && "image" in response && "steps" in response);
  assert.deepEqual(response.image, {
    name: "img:7",
    entrypoint: [""],
    executor_opts: { docker: { platform: "", user: "" }, kubernetes: { user: "" } },
  });
});

test("after_script knows how the script ended, and its own failure is only a warning", async () => {
  const one = bench(`
good: {script: ['true'], after_script: ['echo it was $CI_JOB_STATUS', 'false']}
bad: {script: ['false'], after_script: ['echo it was $CI_JOB_STATUS'], artifacts: {paths: [x], when: on_success}}
`);
  const { exitCode, stdout } = await one.run();
  assert.equal(exitCode, 1);
  assert.match(stdout, /^it was success$/m);
  assert.match(stdout, /^WARNING: after_script failed, but job will continue unaffected: exit status 1$/m);
  assert.match(stdout, /^it was failed$/m);
  assert.ok(!one.calls().includes("upload_artifacts_on_failure"));
});

test("artifacts go by when, exclude and expanded names, and only below the project", async () => {
  const one = bench(`
stages: [a, b]
make:
  stage: a
  variables: {DIR: out}
  script: ['mkdir -p out/deep "x y"', 'echo 1 > out/deep/a.txt', 'echo 2 > out/b.log', 'echo 3 > "x y/ü.txt"', 'exit 4']
  allow_failure: {exit_codes: [4]}
  artifacts: {paths: ['$DIR/', '**/ü.txt', ../../secret], exclude: ['**/*.log'], when: always}
use: {stage: b, script: ['find . -type f -not -path "./.git*" | sort', 'cat "x y/ü.txt"']}
none: {stage: b, dependencies: [], script: ['test ! -e out']}
`);
  const { exitCode, stdout } = await one.run();
  assert.equal(exitCode, 0, stdout);
  assert.match(stdout, /make +failed, which is allowed,/);
  assert.match(stdout, /^\.\/out\/deep\/a\.txt\n\.\/x y\/ü\.txt\n/m);
  assert.match(stdout, /not a subpath of project directory: \.\.\/\.\.\/secret/);
  assert.ok(one.calls().includes("upload_artifacts_on_failure"));
});

test("a cache goes from run to run, by key, fallback and policy", async () => {
  const one = bench(`
stages: [a, b, c]
fill: {stage: a, cache: {key: 'k-$CI_COMMIT_REF_NAME', paths: [.c/]}, script: ['cat .c/x || echo nothing yet', 'mkdir -p .c', 'date > .c/x']}
fall: {stage: b, cache: {key: other, paths: [.c/], fallback_keys: ['k-$CI_COMMIT_REF_NAME'], policy: pull}, script: ['cat .c/x']}
fail: {stage: c, cache: {key: f, paths: [.c/], when: on_failure}, script: ['mkdir .c; echo kept > .c/y; false']}
`);
  const first = await one.run();
  assert.match(first.stdout, /^nothing yet$/m);
  assert.match(
    first.stdout,
    /^Failed to extract cache\nChecking cache for k-main\.\.\.\nSuccessfully extracted cache$/m,
  );
  assert.match(first.stdout, /^Not uploading cache other due to policy$/m);
  assert.ok(one.calls().includes("archive_cache_on_failure"));
  const second = await one.run();
  assert.doesNotMatch(second.stdout, /^nothing yet$/m);
});

test("variables reach the script: files, GITLAB_ENV, precedence, expansion", async () => {
  const one = bench(
    `
variables: {A: global, B: global, C: "$A and $B"}
job:
  variables: {B: job}
  script:
    - echo "C is $C"
    - echo "file is $(cat "$SECRET_FILE") in $SECRET_FILE"
    - echo "SAID=later on" >> "$GITLAB_ENV"
    - test -d .git && git log -1 --format=%s
  after_script: ['echo "said $SAID"', 'test "$CI_PROJECT_DIR" = "$PWD"']
`,
    { "secret.txt": "the content" },
  );
  const { exitCode, stdout } = await one.run(["--variable", "A=given", "--file-variable", "SECRET_FILE=secret.txt"]);
  assert.equal(exitCode, 0, stdout);
  assert.match(stdout, /^C is given and job$/m);
  assert.match(stdout, /^file is the content in .*\.tmp\/SECRET_FILE$/m);
  assert.match(stdout, /^said later on$/m);
  assert.doesNotMatch(stdout, /after_script failed/);
  assert.ok(!existsSync(/in (.*SECRET_FILE)$/m.exec(stdout)?.[1] ?? "/"), "cleanup_file_variables removes it");
});

test("masked values and the job's token do not show", async () => {
  const one = bench(
    "job: {script: ['echo $SECRET; printf %s ${SECRET:0:4}; sleep 0.1; echo ${SECRET:4}; echo $CI_JOB_TOKEN']}",
  );
  const { stdout } = await one.run(["--masked-variable", "SECRET"], { SECRET: "tell-nobody" });
  assert.match(stdout, /^\[MASKED\]\n\[MASKED\]\n\[MASKED\]$/m);
  assert.doesNotMatch(stdout, /tell-nobody|glcbt-/);
});

test("Ctrl-C stops the script, and after_script and the uploads still run", async () => {
  const one = bench(`
job:
  script: ['echo begun', 'sleep 60', 'echo never']
  after_script: ['echo it was $CI_JOB_STATUS']
  artifacts: {paths: [README], when: always}
next: {stage: deploy, script: ['true']}
`);
  const run = one.start([]);
  await run.shows("\nbegun\n");
  run.signal("SIGINT");
  const { exitCode, stdout } = await run.outcome;
  assert.equal(exitCode, 130, stdout);
  assert.match(stdout, /^WARNING: script canceled externally \(UI, API\)$/m);
  assert.match(stdout, /^it was canceled$/m);
  assert.match(stdout, /^ERROR: Job failed: canceled$/m);
  assert.doesNotMatch(stdout, /^never$/m);
  assert.deepEqual(one.calls().slice(-4), [
    "after_script",
    "upload_artifacts_on_failure",
    "cleanup_file_variables",
    "cleanup",
  ]);
  assert.equal(one.calls().filter((call) => call === "config").length, 1, "no other job starts");
});

test("a second Ctrl-C goes straight to the clean-up, and a driver that ignores SIGTERM is killed", async () => {
  const one = bench("job: {script: ['echo begun'], after_script: ['echo never']}");
  const run = one.start(["--graceful-timeout", "1"], {
    FAKE_BUILD_SCRIPT: "trap '' TERM; echo begun; while :; do sleep 1; done",
  });
  await run.shows("\nbegun\n");
  run.signal("SIGINT");
  run.signal("SIGTERM");
  const { exitCode, stdout } = await run.outcome;
  assert.equal(exitCode, 130, stdout);
  assert.deepEqual(one.calls().slice(-2), ["build_script", "cleanup"]);
});

test("a cancel before the script is a forced one", async () => {
  const one = bench("job: {script: ['echo never']}");
  const run = one.start([], { FAKE_GET_SOURCES: "echo fetching; sleep 60" });
  await run.shows("fetching");
  run.signal("SIGTERM");
  const { exitCode, stdout } = await run.outcome;
  assert.equal(exitCode, 130, stdout);
  assert.deepEqual(one.calls().slice(-2), ["get_sources", "cleanup"]);
});

test("a job that takes too long is stopped, and nothing but the clean-up follows", async () => {
  const one = bench("job: {script: ['sleep 60'], timeout: 1 second, after_script: ['echo never']}");
  const { exitCode, stdout } = await one.run();
  assert.equal(exitCode, 1, stdout);
  assert.match(stdout, /^ERROR: Job failed: execution took longer than 1s seconds$/m);
  assert.deepEqual(one.calls().slice(-2), ["build_script", "cleanup"]);
});

test("RUNNER_SCRIPT_TIMEOUT stops the script alone", async () => {
  const one = bench(
    "job: {script: ['sleep 60'], after_script: ['echo it was $CI_JOB_STATUS'], variables: {RUNNER_SCRIPT_TIMEOUT: 1s}}",
  );
  const { exitCode, stdout } = await one.run();
  assert.equal(exitCode, 1, stdout);
  assert.match(stdout, /^it was timedout$/m);
});

test("get_sources is tried as often as asked for, from the second time on after clear_worktree", async () => {
  const one = bench("job: {script: ['true'], variables: {GET_SOURCES_ATTEMPTS: 3}}");
  const { exitCode } = await one.run([], { FAKE_GET_SOURCES: "exit 1" });
  assert.equal(exitCode, 1);
  assert.deepEqual(one.calls().slice(3, -2), ["get_sources", "clear_worktree", "get_sources", "get_sources"]);
  assert.ok(!one.calls().includes("build_script"));
});

test("jobs at the same time have their own number, directory and name in the log", async () => {
  const one = bench(`
one: {script: ['echo at $CI_CONCURRENT_ID', 'touch "$FAKE_SYNC_1"; for i in {1..100}; do [ -e "$FAKE_SYNC_2" ] && exit 0; sleep 0.1; done; exit 1']}
two: {script: ['echo at $CI_CONCURRENT_ID', 'touch "$FAKE_SYNC_2"; for i in {1..100}; do [ -e "$FAKE_SYNC_1" ] && exit 0; sleep 0.1; done; exit 1']}
`);
  const sync = [1, 2].flatMap((n) => ["--variable", `FAKE_SYNC_${n}=${join(one.home, `sync-${n}`)}`]);
  const { exitCode, stdout } = await one.run(["--concurrent", "2", ...sync]);
  assert.equal(exitCode, 0, stdout);
  const numbers = [...stdout.matchAll(/^(?:one|two) \| at (\d+)$/gm)].map((match) => match[1]);
  assert.equal(new Set(numbers).size, 2, stdout);
});

test("--job runs the job and before it those whose artifacts it gets; manual jobs start by name only", async () => {
  const one = bench(`
stages: [a, b]
make: {stage: a, script: ['echo 1 > x'], artifacts: {paths: [x]}}
other: {stage: a, script: ['false']}
use: {stage: b, script: ['cat x'], when: manual}
`);
  const named = await one.run(["--job", "use"]);
  assert.equal(named.exitCode, 0, named.stdout);
  assert.match(named.stderr, /Before it runs "make", for the artifacts/);
  assert.doesNotMatch(named.stdout, /other/);
  const all = await one.run();
  assert.equal(all.exitCode, 1);
  assert.match(all.stdout, /Job "use" is manual and does not start by itself/);
});

test("retry runs a failed job again, as a job of its own", async () => {
  const one = bench(
    "job: {script: ['test -e $FAKE_MARK || { touch $FAKE_MARK; exit 5; }'], retry: {max: 2, exit_codes: [5]}}",
  );
  const { exitCode, stdout } = await one.run(["--variable", `FAKE_MARK=${join(one.home, "mark")}`]);
  assert.equal(exitCode, 0, stdout);
  assert.match(stdout, /Job "job" is tried again \(1 of 2\)/);
  assert.equal(new Set([...stdout.matchAll(/Job "job" \((\d+)\)/g)].map((match) => match[1])).size, 2);
});

test("what cleanup says on standard error is shown, and its failure is only a warning", async () => {
  const one = bench("job: {script: ['true']}");
  const { exitCode, stdout, stderr } = await one.run([], {
    FAKE_COMPLAIN: "left behind",
    FAKE_CLEANUP: "trap 'exit 3' EXIT",
  });
  assert.equal(exitCode, 0);
  assert.match(stderr, /^WARNING: cleanup of job: left behind$/m);
  assert.match(stdout, /WARNING: Cleanup script failed: unknown Custom executor executable exit code 3/);
  assert.doesNotMatch(stdout, /left behind|not to be seen/);
});

test("a driver that cannot be started is a system failure", async () => {
  const one = bench("job: {script: ['true']}");
  const { exitCode, stdout } = await one.run(["--driver", "./gone"]);
  assert.equal(exitCode, 2);
  assert.match(stdout, /ERROR: Job failed \(system failure\): failed to start command: .*ENOENT/);
});

test("a variable that is too long for the system fails the job, with a word on why", async () => {
  const one = bench(`job: {script: ['true'], variables: {LONG: "${"x".repeat(140_000)}"}}`);
  const { exitCode, stdout } = await one.run();
  assert.equal(exitCode, 2);
  assert.match(stdout, /failed to start command: .*E2BIG/);
});

test("a reader that goes away cancels the job, and the clean-up still runs", async () => {
  const one = bench("job: {script: ['for i in {1..100000}; do echo line $i; done; sleep 60']}");
  await capture(
    {
      argv: [
        "bash",
        "-c",
        '"$0" "$1" --graceful-timeout 1 | head -30 >/dev/null',
        process.execPath,
        join(import.meta.dirname, "run-try.ts"),
      ],
      environment: { PATH: process.env["PATH"] ?? "", HOME: one.home, FAKE_HOME: one.home, TMPDIR: one.leftOver() },
      workingDirectory: one.project,
    },
    { timeoutSeconds: 30 },
  );
  assert.equal(one.calls().at(-1), "cleanup");
});

test("mistakes are told before anything runs", async () => {
  const one = bench("job:\n  script: ['true']\n  stge: x\n");
  const typo = await one.run();
  assert.equal(typo.exitCode, 9);
  assert.match(
    typo.stderr,
    /^pipeline_invalid: \.gitlab-ci\.yml:3: job "job" has an unknown keyword "stge"\nDid you mean "stage"\?/,
  );
  one.write(".gitlab-ci.yml", "unit: {script: ['true']}");
  assert.match((await one.run(["--job", "unti"])).stderr, /There is no job "unti"\nDid you mean "unit"\?/);
  assert.match(
    (await one.run(["gone.yml"])).stderr,
    /pipeline_invalid: Cannot read ".*gone\.yml": there is no such file/,
  );
  assert.match((await one.run(["/proc"])).stderr, /Cannot read "\/proc\/\.gitlab-ci\.yml": there is no such file/);
  assert.match((await one.run(["--frob"])).stderr, /usage: There is no option --frob/);
  assert.match((await one.run(["--concurrent", "0"])).stderr, /usage: --concurrent must be/);
  assert.ok(!existsSync(join(one.home, "calls")));
  assert.match((await one.run(["--help"])).stdout, /^Usage: jacamar try/);
});
