import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";

let jobs: Jobs;
let evidence = "";
let program = "";
before(() => {
  jobs = new Jobs("environment");
  evidence = join(jobs.directory, "has-run");
  program = jobs.write("evil.sh", `#!/bin/sh\necho "$0 as $$" >> '${evidence}'\n`, 0o700);
  jobs.write("evil.cjs", `require("node:fs").writeFileSync(${JSON.stringify(evidence)}, "node");\n`);
  jobs.write("podman", `#!/bin/sh\necho podman >> '${evidence}'\n`, 0o700);
});
after(() => jobs.close());

/** What a user might set in .gitlab-ci.yml to get at the driver. */
function hostile(): Record<string, string> {
  return {
    TMPDIR: "/nonexistent/tmp",
    HOME: "/nonexistent/home",
    USER: "root",
    PATH: jobs.directory,
    SHELL: program,
    BASH_ENV: program,
    ENV: program,
    PROMPT_COMMAND: program,
    "BASH_FUNC_echo%%": `() { ${program}; }`,
    NODE_OPTIONS: `--require=${join(jobs.directory, "evil.cjs")}`,
    NODE_PATH: jobs.directory,
    LD_PRELOAD: "/nonexistent/evil.so",
    LD_LIBRARY_PATH: jobs.directory,
    CONTAINERS_CONF: "/nonexistent",
    CONTAINER_HOST: "tcp://127.0.0.1:1",
    XDG_RUNTIME_DIR: "/nonexistent/run",
    JACAMAR_CI_STATE: "{}",
    BUILD_EXIT_CODE_FILE: join(jobs.directory, "exit-code"),
    BUILD_FAILURE_EXIT_CODE: "0",
    SYSTEM_FAILURE_EXIT_CODE: "0",
    JOB_RESPONSE_FILE: "/nonexistent/response.json",
    CI_JOB_ID: "../../..",
    CI_PROJECT_DIR: "/etc",
    CI_BUILDS_DIR: "/etc",
    CI_PROJECT_PATH: "../../etc",
    CI_JOB_IMAGE: "localhost/not-this-one",
    SECRET_OF_THE_RUNNER: "not-this-one",
  };
}

/** An answer of the config stage without when the stage began, and until when the job can live. */
function withoutTimes(answer: AnyJob["answer"]): string {
  const text = JSON.stringify(answer);
  const found = text.replaceAll(/\\"(?:startedAt\\":\d+|life\\":\\"[^"\\]+\\")/g, "TIME");
  assert.notEqual(found, text);
  return found;
}

for (const image of [undefined, "localhost/jacamar-demo"]) {
  describe(`CI variables of a job ${image === undefined ? "on the host" : "in a container"}`, () => {
    it("that name what the driver itself looks at have no effect on it", async () => {
      const wanted = image === undefined ? {} : { image };
      const plain = jobs.job({ ...wanted, id: 66_001 });
      const job = jobs.job({ ...wanted, id: 66_001, variables: hostile() });
      await plain.config();
      await job.ready();
      assert.deepEqual(withoutTimes(job.answer), withoutTimes(plain.answer));
      const pass = await job.run("build_script", "echo has run; env");
      assert.equal(pass.exitCode, 0, logOf(pass));
      assert.match(pass.stdout, /^has run$/m);
      // They reach the script through the runner's own exports alone, which this one has none of.
      assert.doesNotMatch(pass.stdout, /nonexistent|not-this-one|CUSTOM_ENV_/);
      const failing = await job.run("build_script", "exit 3");
      assert.equal(failing.exitCode, 1);
      assert.equal(job.buildExitCode(), "3\n");
      assert.ok(!existsSync(join(jobs.directory, "exit-code")));
      assert.equal((await job.cleanup()).exitCode, 0);
      assert.equal(existsSync(evidence) ? readFileSync(evidence, "utf8") : "", "");
    });
  });

  it(`nothing of the runner's own environment reaches a job ${image === undefined ? "on the host" : "in a container"}`, async () => {
    const runnerEnvironment = {
      SECRET_OF_THE_RUNNER: "must-not-reach-a-job",
      BASH_ENV: program,
      ENV: program,
      NODE_OPTIONS: `--require=${join(jobs.directory, "evil.cjs")}`,
      NODE_PATH: jobs.directory,
      "BASH_FUNC_echo%%": `() { ${program}; }`,
      HTTP_PROXY: "http://must-not-reach-a-job",
      http_proxy: "http://must-not-reach-a-job",
      CONTAINERS_CONF: "/nonexistent/must-not-reach-a-job",
      XDG_CONFIG_HOME: "/nonexistent/must-not-reach-a-job",
      XDG_DATA_HOME: "/nonexistent/must-not-reach-a-job",
    };
    const job = jobs.job({ runnerEnvironment, ...(image === undefined ? {} : { image }) });
    await job.ready();
    for (const stage of ["get_sources", "build_script", "after_script"]) {
      const run = await job.run(stage, everyEnvironment(job));
      assert.equal(run.exitCode, 0, logOf(run));
      assert.match(run.stdout, /PATH=/);
      assert.doesNotMatch(
        run.stdout,
        /must-not-reach-a-job|SECRET_OF_THE_RUNNER|CUSTOM_ENV_|JOB_RESPONSE_FILE|JACAMAR_CI_STATE/,
      );
      assert.ok(!run.stdout.includes(job.token), "the job's token comes with the runner's own exports, not from us");
    }
    assert.equal(existsSync(evidence) ? readFileSync(evidence, "utf8") : "", "");
  });
}

/** Prints the environment of the script and of all that stands above it, up to the first process that the job may not read. */
function everyEnvironment(job: AnyJob): string {
  return `env
    p=$$
    while [ "$p" -gt 0 ]; do
      case "$(tr '\\0' ' ' < /proc/$p/cmdline)" in *jacamar.cjs*|*/jacamar\\ *|*' --test'*|'') break ;; esac
      tr '\\0' '\\n' < /proc/$p/environ || break
      while read -r name value rest; do if [ "$name" = PPid: ]; then p=$value; fi; done < /proc/$p/status
    done
    : ${job.id}`;
}
