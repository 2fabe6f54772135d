import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { asUser, checkout, type Ended, otherUser, testUser } from "../../harness/machine.ts";
import type { TestJob } from "../../harness/job.ts";
import { type Door, doors, makeOpenDirectory, makePlace, type Place, root, skip } from "./support/place.ts";

const user = testUser();
const other = otherUser() ?? user;
const stateVariable = "JACAMAR_CI_STATE";

/** What nobody should be able to reach by any variable. */
const hostile = [
  "root",
  `/home/${other.name}`,
  "/",
  "/etc",
  "../../../../etc",
  `../../../../home/${other.name}`,
  "-u root",
  "0",
  "true",
  "$(touch /var/tmp/jacamar-forged)",
  "`id`",
  "x\ny",
  "é\u{1F600}".repeat(50),
  '{"auths":{"docker.io":{"auth":"eA=="}}}',
];

/** How the source reads CI variables, and what a user can do by each. A new reading must be put here before it is merged. */
const readings: Readonly<Record<string, string>> = {
  'get("CI_CONCURRENT_ID")': "a number: other directories of the user's own",
  'get("CI_CONCURRENT_PROJECT_ID")': "with static_builds_dir alone, a number: other directories of the user's own",
  'get("CI_PIPELINE_ID")': "with a runner before 19.0: a plain name, which allocation of the user's own, as the user",
  'get("CI_RUNNER_SHORT_TOKEN")': "a plain name: other directories of the user's own, and a word in the system log",
  'get("CUSTOM_CI_BUILDS_DIR")': "with custom_build_dir alone: a directory that must be the user's own",
  'get("DOCKER_AUTH_CONFIG")': "credentials for registries, of the user's own",
  'get("JACAMAR_SCHEDULER_ACTION")': "one of three words: what is done with an allocation of the user's own",
  'get("JACAMAR_SCHEDULER_JOB_KEY")': "a plain name: which allocation of the user's own, as the user",
  'get("REGISTRY_AUTH_FILE")': "a file with credentials, opened as the user",
  'get("RUNNER_TEMP_PROJECT_DIR")':
    "a path below the job's own builds directory: a work tree, tidied up as the user; with group_permissions a directory beside it is made, as the user",
  "get(name)": "what user_variable names: an account that RunAs is asked for",
  "get(variable)": "what jwt_env_variable names: the signed token",
  'isOn("JACAMAR_ETC_PROFILE_ONLY")': "which of Bash's start-up files are read, as the user",
  'isOn("JACAMAR_NO_BASH_PROFILE")': "which of Bash's start-up files are read, as the user",
  'withPrefix("")': "the sizes of all of them, for max_env_chars",
  "withPrefix(prefix)": "with user_volume_variable alone: volumes, opened as the user",
};

/** All that has a say in how a job's own process behaves, and that GitLab sets or a user might set. */
const famous = [
  "CI_JOB_ID",
  "CI_JOB_IMAGE",
  "CI_JOB_TOKEN",
  "CI_PROJECT_PATH",
  "CI_PROJECT_PATH_SLUG",
  "CI_PROJECT_DIR",
  "CI_BUILDS_DIR",
  "CI_SERVER_URL",
  "CI_PIPELINE_SOURCE",
  "GITLAB_USER_LOGIN",
  "HOME",
  "USER",
  "LOGNAME",
  "PATH",
  "TMPDIR",
  "XDG_RUNTIME_DIR",
  "XDG_CONFIG_HOME",
  "XDG_CACHE_HOME",
  "BUILD_EXIT_CODE_FILE",
  "BUILD_FAILURE_EXIT_CODE",
  "SYSTEM_FAILURE_EXIT_CODE",
  "JOB_RESPONSE_FILE",
  "HTTPS_PROXY",
  "NODE_EXTRA_CA_CERTS",
  stateVariable,
  `CUSTOM_ENV_${stateVariable}`,
];

/** Variables that make Node, Bash, the loader, git, Podman, sudo or Python run somebody's code or read somebody's file. */
function steering(trap: string): Record<string, string> {
  return {
    NODE_OPTIONS: `--require=${trap}.cjs`,
    NODE_PATH: trap,
    NODE_REPL_EXTERNAL_MODULE: `${trap}.cjs`,
    NODE_V8_COVERAGE: `${trap}-coverage`,
    NODE_COMPILE_CACHE: `${trap}-cache`,
    NODE_REDIRECT_WARNINGS: `${trap}-warnings`,
    NODE_CHANNEL_FD: "3",
    OPENSSL_CONF: `${trap}.cnf`,
    BASH_ENV: `${trap}.sh`,
    ENV: `${trap}.sh`,
    "BASH_FUNC_exec%%": `() { ${trap}.sh; }`,
    PS4: `$(${trap}.sh)`,
    SHELLOPTS: "xtrace",
    PROMPT_COMMAND: `${trap}.sh`,
    CDPATH: trap,
    SUDO_ASKPASS: `${trap}.sh`,
    SUDO_EDITOR: `${trap}.sh`,
    CONTAINERS_CONF: `${trap}.conf`,
    CONTAINERS_STORAGE_CONF: `${trap}.conf`,
    CONTAINER_HOST: "tcp://127.0.0.1:9",
    REGISTRY_AUTH_FILE: `${trap}.json`,
    GIT_SSH_COMMAND: `${trap}.sh`,
    GIT_EXEC_PATH: trap,
    PYTHONSTARTUP: `${trap}.py`,
    PYTHONPATH: trap,
    PERL5OPT: `-M${trap}`,
    XDG_CONFIG_HOME: trap,
    IFS: "a",
  };
}

describe("jacamar-auth does not believe", { skip }, () => {
  let place: Place;
  let theirs: string;
  before(async () => {
    place = await makePlace("forged");
    theirs = snapshot();
  });
  after(() => place.remove());

  it("a CI variable that this test does not know", () => {
    const found = new Set<string>();
    for (const { text } of sources()) {
      for (const [reading] of text.matchAll(/(?<=[vV]ariables\.)(?:get|isOn|withPrefix)\([^()]*\)/g))
        found.add(reading);
    }
    assert.deepEqual([...found].toSorted(), Object.keys(readings).toSorted());
    const prefixed = sources().filter(({ text }) => /["'`]CUSTOM_ENV_/.test(text));
    assert.deepEqual(
      prefixed.map(({ name }) => name).toSorted(),
      ["command/as-user.ts", "gitlab/variables.ts"],
      "nothing else reads them",
    );
  });

  it("any CI variable in what decides on account, directories and image", async () => {
    const quoted = Object.keys(readings).flatMap((reading) => /"(\w+)"/.exec(reading)?.[1] ?? []);
    const names = [...quoted, ...famous];
    for (const value of hostile) {
      const variables = Object.fromEntries(names.map((name) => [name, value]));
      // These two stop the job, so they are tried by themselves.
      const { CI_RUNNER_SHORT_TOKEN: token, CI_CONCURRENT_ID: slot, ...others } = variables;
      const job = place.job("setuid as root", { variables: others });
      const config = await job.config();
      assert.equal(config.exitCode, 0, config.stderr);
      assertUsersOwn(job);
      job.remove();
      for (const one of [{ CI_RUNNER_SHORT_TOKEN: token ?? "" }, { CI_CONCURRENT_ID: slot ?? "" }]) {
        const job = place.job("setuid as root", { variables: one });
        const config = await job.config();
        if (config.exitCode === 0) assertUsersOwn(job);
        else assert.match(config.stderr, /which the runner never gives it/);
        job.remove();
      }
    }
    assert.equal(existsSync("/var/tmp/jacamar-forged"), false);
    assert.equal(snapshot(), theirs);
  });

  it("a CI variable for the image: the list of the administrator is asked about the job's own", async () => {
    const options = { general: "", podman: 'image_allowlist = ["localhost/jacamar-demo:latest"]' };
    const variables = { CI_JOB_IMAGE: "localhost/jacamar-demo:latest", JACAMAR_CI_STATE: "{}" };
    const forbidden = place.job("setuid as root", { ...options, image: "localhost/jacamar-busybox", variables });
    await forbidden.config();
    const refused = await forbidden.prepare();
    assert.equal(refused.exitCode, 1, refused.stdout);
    assert.match(refused.stdout + refused.stderr, /jacamar-busybox/);
    forbidden.remove();
    const allowed = place.job("setuid as root", {
      ...options,
      image: "localhost/jacamar-demo:latest",
      variables: { CI_JOB_IMAGE: "localhost/jacamar-busybox", IMAGE: "localhost/jacamar-busybox" },
    });
    const { run } = await allowed.whole("cat /etc/os-release");
    assert.match(run.stdout, /Jacamar demo image/);
    allowed.remove();
  });

  it("stages out of order: nothing runs before the decision", async () => {
    for (const door of doors) {
      const job = place.job(door);
      for (const stage of [await job.prepare(), await job.run("build_script", "touch /var/tmp/jacamar-forged")]) {
        assert.equal(stage.exitCode, 2);
        assert.match(stage.stdout + stage.stderr, /without the decision of the config stage/);
      }
      const first = await job.cleanup();
      assert.equal(first.exitCode, 0, "cleanup of a refused job has nothing to do");
      await job.config();
      const early = await job.run("build_script", "echo ran as $(id -un)");
      assert.notEqual(early.stdout.includes("root"), true, early.stdout);
      assert.equal((await job.prepare()).exitCode, 0);
      assert.equal((await job.prepare()).exitCode, 0, "GitLab Runner repeats prepare");
      const run = await job.run("build_script", "echo ran as $(id -un)");
      assert.equal(run.stdout, `ran as ${user.name}\n`);
      assert.equal((await job.cleanup()).exitCode, 0);
      assert.equal((await job.cleanup()).exitCode, 0);
      job.remove();
    }
    assert.equal(existsSync("/var/tmp/jacamar-forged"), false);
  });

  it("a state with another identity, which only the runner's account could forge", async () => {
    const forgeries: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
      "uid 0": { uid: 0 },
      "gid 0": { gid: 0 },
      "root by name": { name: "root" },
      "root altogether": { name: "root", uid: 0, gid: 0 },
      "an account of the system": { name: "daemon", uid: 1, gid: 1 },
      "another's name": { name: other.name },
      "another's uid": { uid: other.uid },
      "another's gid": { gid: other.gid },
      "a group of the system": { gid: 42 },
      "a number that nobody has": { uid: 54_321 },
      "a number that is no number": { uid: "1001" },
      "no change": { uid: 0xffff_ffff, gid: 0xffff_ffff },
      "a negative number": { uid: -1 },
      "an unknown door": { downscope: "su" },
      "no door": { downscope: "none" },
      "no identity": { name: undefined, uid: undefined },
    };
    rmSync(place.dataDir, { recursive: true, force: true });
    for (const door of doors) {
      const honest = place.job(door);
      await honest.config();
      const state: unknown = JSON.parse(honest.environment[stateVariable] ?? "");
      assert.ok(typeof state === "object" && state !== null && "identity" in state);
      for (const [what, change] of Object.entries(forgeries)) {
        const identity = { ...(typeof state.identity === "object" ? state.identity : {}), ...change };
        const prepare = await prepareWith(honest, door, JSON.stringify({ ...state, identity }));
        assert.equal(prepare.exitCode, 2, `${door}, ${what}: ${prepare.stdout}${prepare.stderr}`);
        assert.match(prepare.stdout + prepare.stderr, /^ERROR: |sudo: /m, what);
      }
      honest.remove();
    }
    assert.equal(existsSync(place.dataDir), false, "no forged stage has made anything");
    assert.equal(snapshot(), theirs);
  });

  it("the state of another job, also of the same user", async () => {
    for (const door of doors) {
      const [first, second] = [place.job(door), place.job(door)];
      await first.config();
      await second.config();
      const prepare = await prepareWith(second, door, first.environment[stateVariable] ?? "");
      assert.equal(prepare.exitCode, 2, prepare.stdout);
      assert.match(prepare.stdout + prepare.stderr, /the config stage handed on was made for another job/);
      assert.equal((await second.prepare()).exitCode, 0, "the control: its own state");
      for (const job of [first, second]) {
        await job.cleanup();
        job.remove();
      }
    }
  });

  it("a configuration that somebody else could exchange", async () => {
    const spoils: readonly (readonly [what: string, spoil: (job: TestJob) => void])[] = [
      ["an open directory above it", (job) => chmodSync(job.directory, 0o777)],
      ["a directory of the user's", (job) => chownSync(job.directory, user.uid, user.gid)],
      ["a file of the user's", (job) => chownSync(join(job.directory, "jacamar.toml"), user.uid, user.gid)],
      ["an open file", (job) => chmodSync(join(job.directory, "jacamar.toml"), 0o666)],
    ];
    for (const [what, spoil] of spoils) {
      const job = place.job("setuid as root");
      spoil(job);
      const config = await job.config();
      assert.equal(config.exitCode, 2, what);
      assert.match(config.stderr, /^ERROR: Cannot use the configuration file/, what);
      job.remove();
    }
  });

  it("a state whose directories are another's", async () => {
    const job = place.job("setuid as root");
    await job.config();
    const text = job.environment[stateVariable] ?? "";
    const forged = text.replaceAll(place.dataDir, `${other.home}/.jacamar-forged`);
    const prepare = await prepareWith(job, "setuid as root", forged);
    assert.equal(prepare.exitCode, 2, prepare.stdout);
    assert.match(prepare.stdout + prepare.stderr, /^ERROR: /m);
    job.remove();
    assert.equal(snapshot(), theirs);
  });

  for (const door of doors) {
    it(`variables that steer other programs, by ${door}`, async () => {
      const directory = makeOpenDirectory(join(place.stage.directory, `trap-${door.replaceAll(" ", "-")}`), 0o777);
      const trap = join(directory, "trap");
      const sprung = join(directory, "sprung");
      writeFileSync(`${trap}.cjs`, `require("fs").appendFileSync("${sprung}", "node\\n")`);
      writeFileSync(`${trap}.sh`, `#!/bin/sh\necho shell >> ${sprung}\n`, { mode: 0o755 });
      writeFileSync(`${trap}.cnf`, "openssl_conf = broken\n");
      writeFileSync(`${trap}.conf`, "broken = [\n");
      mkdirSync(trap);
      const runnerEnvironment = steering(trap);
      // A single executable refuses to start with it.
      if (place.stage.isPackaged) delete runnerEnvironment["NODE_REPL_EXTERNAL_MODULE"];
      const job = place.job(door, { runnerEnvironment, variables: steering(trap) });
      const config = await job.config();
      assert.equal(config.exitCode, 0, config.stderr);
      const prepare = await job.prepare();
      assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
      const run = await job.run("build_script", "id -un; env");
      assert.match(run.stdout, new RegExp(`^${user.name}\n`));
      assert.equal(run.stdout.includes(trap), false, run.stdout);
      const cleanup = await job.cleanup();
      assert.equal(cleanup.exitCode, 0, cleanup.stderr);
      assert.equal(existsSync(sprung), false);
      // Node makes this directory before any code of ours runs, unless it has capabilities. Nothing is read from it or written to it.
      const cache = place.stage.isPackaged && door === "setuid as root" ? ["trap-cache"] : [];
      assert.deepEqual(
        readdirSync(directory).toSorted(),
        ["trap", ...cache, "trap.cjs", "trap.cnf", "trap.conf", "trap.sh"],
        "nothing was written there",
      );
      for (const name of cache) {
        const entries = readdirSync(join(directory, name), { recursive: true, withFileTypes: true });
        assert.deepEqual(
          entries.filter((entry) => !entry.isDirectory()),
          [],
        );
      }
      job.remove();
    });
  }

  it("a library that the loader is told to load, as a service account with capabilities", async () => {
    const library = join(place.stage.directory, "trap.so");
    const source = join(place.stage.directory, "trap.c");
    const sprung = makeOpenDirectory(join(place.stage.directory, "loaded"), 0o777);
    writeFileSync(
      source,
      `#include <stdio.h>\n#include <unistd.h>\n#include <fcntl.h>
       __attribute__((constructor)) static void loaded(void) {
         char name[4096], self[4096] = {0}; readlink("/proc/self/exe", self, 4000);
         for (char *c = self; *c; c++) if (*c == '/') *c = '_';
         snprintf(name, sizeof name, "${sprung}/%s", self); close(open(name, O_CREAT | O_WRONLY, 0644)); }\n`,
    );
    execFileSync("gcc", ["-shared", "-fPIC", "-w", "-o", library, source]);
    for (const [door, runnerEnvironment] of [
      ["setuid as root", {}],
      ["setuid with capabilities", { LD_PRELOAD: library, LD_LIBRARY_PATH: place.stage.directory, LD_AUDIT: library }],
    ] as const) {
      const job = place.job(door, { runnerEnvironment, variables: { LD_PRELOAD: library } });
      // setpriv itself would load it before it becomes the runner: see startAsUser().
      const { config, run } = await job.whole("id -un");
      assert.equal(config.exitCode, 0, config.stderr);
      assert.equal(run.stdout, `${user.name}\n`);
      job.remove();
    }
    const loadedBy = readdirSync(sprung);
    assert.ok(
      loadedBy.some((name) => /setpriv|dash|bash/.test(name)),
      "the control: programs without capabilities load it",
    );
    assert.equal(
      loadedBy.some((name) => /node-auth|jacamar-auth/.test(name)),
      false,
      loadedBy.join(" "),
    );
  });

  /** The prepare stage of the job, with another state from the runner. */
  function prepareWith(job: TestJob, door: Door, state: string): Promise<Ended> {
    const env = { ...job.environment, [stateVariable]: state };
    const runner = door === "setuid as root" ? root : place.service;
    return asUser(runner, [join(place.stage.directory, "jacamar-auth"), "prepare"], { env, cwd: job.directory });
  }

  function assertUsersOwn(job: TestJob): void {
    const state: unknown = JSON.parse(job.environment[stateVariable] ?? "");
    assert.ok(typeof state === "object" && state !== null && "identity" in state && "workspace" in state);
    const identity = Object.entries(state.identity ?? {});
    const own = identity.filter(([key]) => ["name", "uid", "gid", "downscope"].includes(key));
    const { name, uid, gid } = user;
    assert.deepEqual(Object.fromEntries(own), { name, uid, gid, downscope: "setuid" });
    for (const [key, path] of Object.entries(job.state.workspace)) {
      assert.ok(path === place.dataDir || path.startsWith(`${place.dataDir}/`), `${key}: ${path}`);
      assert.equal(path.split("/").includes(".."), false);
    }
    assert.equal(job.answer.builds_dir, job.directoryOf("buildsDir"));
  }

  /** What the other user has, and what lies in the directories that a mistake would hit first. */
  function snapshot(): string {
    return execFileSync("find", [other.home, "/etc", "-xdev", "-ignore_readdir_race", "-printf", "%p %u %m %T@ %s\n"], {
      encoding: "utf8",
      maxBuffer: 1 << 26,
    })
      .split("\n")
      .filter((line) => line.startsWith(`${other.home}/`) || /^\/etc\/(jacamar|shadow |passwd )/.test(line))
      .filter((line) => !/^\/etc\/(shadow|passwd)/.test(line))
      .toSorted()
      .join("\n");
  }
});

/** The source of the driver; `jacamar try` and `jacamar explain` stand in for the runner, for people, and are none of it. */
function sources(): { name: string; text: string }[] {
  const directory = checkout("src");
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !/^(?:try|explain)\//.test(name))
    .map((name) => ({ name, text: readFileSync(join(directory, name), "utf8") }));
}
