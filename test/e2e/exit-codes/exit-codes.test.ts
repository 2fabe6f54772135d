import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { slurmMissing } from "../../harness/slurm.ts";
import { Cluster } from "../batch/cluster.ts";
import { scriptOutput } from "../podman-support/executors.ts";
import { type AnyJob, Jobs, logOf, type Wanted } from "../stopping/jobs.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("exit-codes");
});
after(() => jobs.close());

const demo = "localhost/jacamar-demo";
const busybox = "localhost/jacamar-busybox";

interface Place {
  readonly name: string;
  readonly job: Wanted;
  readonly stage: string;
  /** What a script that sends itself SIGTERM ends with. */
  readonly term: number;
  /** Only what differs from the other places. */
  readonly short?: true;
  /** As a job of Slurm. There the shell that `$$` names is the job's own: killing it is no exit code. */
  readonly batch?: true;
}

// The frame that the runner puts around a script turns SIGTERM into exit 1. On the host the shell that `$$` names is the
// login shell around it, which tells the signal.
const places: readonly Place[] = [
  { name: "on the host", job: {}, stage: "build_script", term: 143 },
  { name: "in a container with Bash", job: { image: demo }, stage: "build_script", term: 1 },
  { name: "in a container without Bash", job: { image: busybox }, stage: "build_script", term: 1 },
  { name: "in a runner stage on the host", job: { image: demo }, stage: "get_sources", term: 143, short: true },
  {
    name: "in a runner stage in the runner image",
    job: { image: busybox, podman: 'runner_image = "localhost/jacamar-runner"\nrunner_pull_policy = "never"' },
    stage: "get_sources",
    term: 1,
    short: true,
  },
  { name: "as a job of Slurm", job: {}, stage: "build_script", term: 143, batch: true },
  { name: "in a container as a job of Slurm", job: { image: busybox }, stage: "build_script", term: 1, batch: true },
];

const telling = new Set(["exit 2", "exit 125", "exit 255", "kill -9 $$; sleep 1"]);
const failures: readonly (readonly [script: string, code: number])[] = [
  ...[1, 2, 3, 125, 126, 127, 137, 255].map((code) => [`exit ${code}`, code] as const),
  ["false; echo not reached", 1],
  ["no-such-program-anywhere", 127],
  ["/etc/passwd", 126],
  ["exit 3 | cat", 3],
  ["kill -9 $$; sleep 1", 137],
  ["kill -SEGV $$; sleep 1", 139],
  ["sh -c 'kill -9 $$'", 137],
  ["sh -c 'kill -TERM $$'", 143],
];

for (const { name, job: wanted, stage, term, short = false, batch = false } of places) {
  describe(`a script ${name}`, { skip: batch && slurmMissing() }, () => {
    let job: AnyJob;
    let cluster: Cluster | undefined;
    before(async () => {
      if (batch) cluster = new Cluster("exit-codes");
      job = (cluster ?? jobs).job(wanted);
      await job.ready();
    });
    after(() => cluster?.close());

    it("that exits with 0 passes, also right after one that failed", async () => {
      for (const script of ["exit 5", "exit 0", "true"]) {
        const ended = await job.run(stage, script);
        assert.equal(ended.exitCode, script === "exit 5" ? 1 : 0, logOf(ended));
        assert.equal(job.buildExitCode(), script === "exit 5" ? "5\n" : "");
        assert.equal(scriptOutput(logOf(ended)), "");
      }
    });

    for (const [script, code] of [...failures, ["kill -TERM $$; sleep 0.2", term] as const]) {
      if ((short || batch) && !telling.has(script)) continue;
      if (batch && script.includes("kill")) continue;
      it(`\`${script}\` is the job's failure with ${code}`, async () => {
        const ended = await job.run(stage, script);
        assert.equal(ended.exitCode, 1, logOf(ended));
        assert.equal(job.buildExitCode(), `${code}\n`);
        // The runner says it; we need not.
        assert.doesNotMatch(logOf(ended), /^ERROR|^not reached/m);
      });
    }
  });
}

it("a script that is killed with the shell around it says by what, since no shell is left to say it", async () => {
  const job = jobs.job();
  await job.ready();
  const killed = await job.run("build_script", "echo -n begun; kill -9 $$; sleep 1");
  assert.match(killed.stdout, /^begun$/m);
  assert.match(killed.stdout, /^The script was ended, .* by SIGKILL\. .* memory is used up\.$/m);
  assert.equal(job.buildExitCode(), "137\n");
  const other = await job.run("build_script", "sh -c 'kill -9 $$'");
  assert.doesNotMatch(logOf(other), /was ended/);
});

it("a container's user that cannot get at the script is named as a possible reason", async () => {
  const job = jobs.job({ image: busybox, podman: 'custom_options = ["--user=1234"]' });
  await job.ready();
  const ended = await job.run("build_script", "true");
  assert.equal(ended.exitCode, 2);
  assert.match(
    logOf(ended),
    /^ERROR: The stage build_script ended \(exit code 126\).*\n {2}The script could not be started\. .*--user/m,
  );
});

describe("the runner's own words", () => {
  const environment = { BUILD_FAILURE_EXIT_CODE: "71", SYSTEM_FAILURE_EXIT_CODE: "72" };

  it("for a failing job and for a failing system are used", async () => {
    const job = jobs.job({ environment });
    await job.ready();
    assert.equal((await job.run("build_script", "exit 3")).exitCode, 71);
    assert.equal(job.buildExitCode(), "3\n");
    assert.equal((await job.run("build_script", "true")).exitCode, 0);
    assert.equal((await jobs.job({ environment, responseText: "{" }).config()).exitCode, 72);
    const refused = jobs.job({ environment, image: "--privileged" });
    await refused.config();
    assert.equal((await refused.prepare()).exitCode, 71);
    const running = job.start("build_script", "echo ready; sleep 300");
    await running.until("ready");
    running.killGroup("SIGTERM");
    assert.equal((await running.done).exitCode, 72);
  });

  for (const value of [undefined, "", "0", "256", "x", "-1"]) {
    it(`are missed when ${value === undefined ? "there are none" : `they are ${JSON.stringify(value)}`}`, async () => {
      const job = jobs.job({ environment: { SYSTEM_FAILURE_EXIT_CODE: value } });
      const ended = await job.config();
      assert.equal(ended.exitCode, 2);
      assert.match(ended.stderr, /^ERROR: GitLab Runner gave no valid SYSTEM_FAILURE_EXIT_CODE\n {2}[^\n]+\n$/);
    });
  }
});

it("a runner that offers no BUILD_EXIT_CODE_FILE still learns of the failure", async () => {
  for (const value of [undefined, ""]) {
    const job = jobs.job({ environment: { BUILD_EXIT_CODE_FILE: value } });
    await job.ready();
    const ended = await job.run("build_script", "exit 3");
    assert.equal(ended.exitCode, 1, logOf(ended));
    assert.equal(job.buildExitCode(), undefined);
    assert.equal(existsSync(`${job.directory}/build_exit_code`), false);
    // The runner says 1 of every script.
    assert.match(ended.stdout, /^The script ended with exit code 3\. \(This GitLab Runner knows only 1;/m);
    assert.doesNotMatch(logOf(await job.run("build_script", "exit 1")), /exit code/);
  }
});

it("a BUILD_EXIT_CODE_FILE that cannot be written is the runner's failure, and no script runs", async () => {
  const job = jobs.job({ environment: { BUILD_EXIT_CODE_FILE: "/proc/nowhere/file" } });
  await job.ready();
  const ended = await job.run("build_script", "echo has run");
  assert.equal(ended.exitCode, 2);
  assert.equal(ended.stdout, "");
  assert.match(ended.stderr, /^ERROR: Cannot write BUILD_EXIT_CODE_FILE "\/proc\/nowhere\/file": ENOENT\n$/);
});
