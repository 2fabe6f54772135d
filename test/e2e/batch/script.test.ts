import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { slurmMissing } from "../../harness/slurm.ts";
import { Cluster, logOf } from "./cluster.ts";

const demo = "localhost/jacamar-demo";

describe("a script as a job of Slurm", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  before(() => {
    cluster = new Cluster("script");
  });
  after(() => cluster.close());

  it("prints into the log, in order and whole, and ends with its own exit code", async () => {
    const job = cluster.job();
    await job.ready();
    const run = await job.run("build_script", "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 7");
    assert.equal(run.exitCode, 1, logOf(run));
    assert.equal(job.buildExitCode(), "7\n");
    assert.match(run.stdout, /out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n/);
    assert.match(run.stdout, /^Submitted as Slurm job \d+ \(jacamar-ci-/);
    assert.match(run.stdout, /has started on \S+ after \d+s in the queue\n/);
    assert.equal(run.stderr, "");
    assert.equal((await job.cleanup()).exitCode, 0);
    assert.deepEqual(cluster.queue(), []);
  });

  it("runs only the user's steps there, and all others on the runner's node", async () => {
    const job = cluster.job();
    await job.ready();
    for (const stage of ["get_sources", "after_script", "prepare_script", "upload_artifacts_on_success"]) {
      const run = await job.run(stage, "echo in ${SLURM_JOB_ID-nothing}");
      assert.equal(run.stdout, "in nothing\n", stage);
    }
    for (const stage of ["build_script", "step_script", "step_release"]) {
      const run = await job.run(stage, "echo in ${SLURM_JOB_ID-nothing}");
      assert.match(run.stdout, /^in \d+$/m, stage);
    }
  });

  it("has a clean login's environment, and Slurm's variables", async () => {
    const job = cluster.job({
      variables: { BASH_ENV: "/etc/passwd", LD_PRELOAD: "/x.so" },
      runnerEnvironment: { SLURM_HINT: "nomultithread", SBATCH_PARTITION: "nope" },
    });
    await job.ready();
    const body =
      'env | cut -d= -f1 | sort | tr "\\n" " "; echo; shopt -q login_shell && echo login; umask; pwd; echo "$HOME"';
    const run = await job.run("build_script", body);
    assert.equal(run.exitCode, 0, logOf(run));
    const names = run.stdout.split("\n").find((line) => line.includes("SLURM_JOB_ID")) ?? "";
    assert.match(names, /JACAMAR_CI JACAMAR_CI_SHELL /);
    assert.doesNotMatch(
      names,
      /SECRET_OF_THE_RUNNER|CUSTOM_ENV_|BUILD_FAILURE|JOB_RESPONSE|BASH_ENV|LD_PRELOAD|SLURM_HINT/,
    );
    assert.match(run.stdout, /^login$/m);
    assert.match(run.stdout, /^0077$/m);
    assert.ok(run.stdout.includes(`\n${cluster.jobs.user.home}\n`));
  });

  it("honours which start-up files the user wants", async () => {
    const body = "shopt -q login_shell && echo login || echo plain";
    for (const [variable, word] of [
      ["JACAMAR_NO_BASH_PROFILE", "plain"],
      ["JACAMAR_ETC_PROFILE_ONLY", "plain"],
    ] as const) {
      const job = cluster.job({ variables: { [variable]: "true" } });
      await job.ready();
      assert.match((await job.run("build_script", body)).stdout, new RegExp(`^${word}$`, "m"));
    }
  });

  it("gets what the user asks of Slurm", async () => {
    const job = cluster.job({ variables: { SCHEDULER_PARAMETERS: "-n 3 --comment='two words' --time=7" } });
    await job.ready();
    const run = await job.run("build_script", "echo tasks $SLURM_NTASKS; scontrol show job $SLURM_JOB_ID -o");
    assert.match(run.stdout, /^tasks 3$/m);
    assert.match(run.stdout, /TimeLimit=00:07:00/);
    assert.match(run.stdout, /Comment=two words/);
  });

  for (const [given, why] of [
    ["--job-name=x", /"--job-name=x", which is --job-name, which the runner sets itself/],
    ["-n1 -Jx", /"-Jx", which is -J/],
    ["-Ho /tmp/x", /"-Ho", which is -o/],
    ["--out=/tmp/x", /"--out=\/tmp\/x", which is a beginning of --output/],
    ["--wait", /"--wait"/],
    ["--wrap='id'", /"--wrap=id"/],
    ["-N1 /bin/true", /"\/bin\/true", which is no option/],
    ["--comment='x", /has a quote that does not end/],
  ] as const) {
    it(`refuses the arguments ${given} before anything is submitted`, async () => {
      const job = cluster.job({ variables: { SCHEDULER_PARAMETERS: given } });
      await job.ready();
      const run = await job.run("build_script", "echo ran");
      assert.equal(run.exitCode, 1, logOf(run));
      assert.match(run.stderr, why);
      assert.match(run.stderr, /SCHEDULER_PARAMETERS/);
      assert.equal(run.stdout, "");
    });
  }

  it("lets them through where the administrator allows it", async () => {
    const job = cluster.job({
      batch: "allow_illegal_args = true",
      variables: { SCHEDULER_PARAMETERS: "--comment=x --quiet" },
    });
    await job.ready();
    assert.equal((await job.run("build_script", "true")).exitCode, 0);
  });

  it("shows Slurm's own words when it refuses the job, and blames the job", async () => {
    for (const [given, words] of [
      ["--partition=nope", /invalid partition specified: nope/],
      ["--bogus", /unrecognized option '--bogus'/],
      ["--time=banana", /[Ii]nvalid.*time/],
    ] as const) {
      const job = cluster.job({ variables: { SCHEDULER_PARAMETERS: given } });
      await job.ready();
      const run = await job.run("build_script", "echo ran");
      assert.equal(run.exitCode, 1, logOf(run));
      assert.match(run.stderr, words);
      assert.match(run.stderr, /Slurm refused the job/);
    }
  });

  it("passes 50 MB on, every byte, and a last line without an end", async () => {
    const job = cluster.job();
    await job.ready();
    const run = await job.run("build_script", "head -c 52428800 /dev/zero | tr '\\0' 'x'; printf 'no end'", 120);
    assert.equal(run.exitCode, 0, run.stderr.slice(-500));
    const output = run.stdout.slice(run.stdout.indexOf("queue\n") + 6);
    assert.equal(output.length, 52428800 + "no end".length);
    assert.ok(output.endsWith("xno end"));
  });

  it("does not wait for what the script leaves behind", async () => {
    const job = cluster.job();
    await job.ready();
    const run = await job.run("build_script", "(sleep 200; echo late) & echo now");
    assert.equal(run.exitCode, 0, logOf(run));
    assert.match(run.stdout, /now\n$/);
    assert.equal((await job.cleanup()).exitCode, 0);
  });

  it("keeps the job file and its output where the administrator wants that", async () => {
    for (const retain of [true, false]) {
      const job = cluster.job({ general: `retain_logs = ${retain}` });
      await job.ready();
      await job.run("build_script", "echo kept");
      const file = `${job.directoryOf("scriptsDir")}/build_script.job`;
      await job.cleanup();
      assert.equal(existsSync(file), retain);
      if (retain) {
        assert.match(
          readFileSync(file, "utf8"),
          /^#!\/bin\/sh\n# Job file of the CI job \d+, stage build_script, for Slurm\./,
        );
        assert.equal(readFileSync(file.replace(/job$/, "out"), "utf8"), "kept\n");
      }
    }
  });

  it("runs in a container, from the archive, with Slurm's variables in it", async () => {
    const job = cluster.job({ image: demo, variables: { SCHEDULER_PARAMETERS: "--ntasks=2" } });
    const prepare = await job.ready();
    assert.match(prepare, /archive/);
    const run = await job.run(
      "build_script",
      ". /etc/os-release; echo $PRETTY_NAME; echo tasks $SLURM_NTASKS; exit 125",
    );
    assert.equal(run.exitCode, 1, logOf(run));
    assert.equal(job.buildExitCode(), "125\n");
    assert.match(run.stdout, /^Jacamar demo image$/m);
    assert.match(run.stdout, /^tasks 2$/m);
    assert.doesNotMatch(run.stdout, /\r/);
    const after = await job.run("after_script", "echo after in ${SLURM_JOB_ID-nothing}; ls /etc/os-release");
    assert.match(after.stdout, /after in nothing/);
    assert.equal((await job.cleanup()).exitCode, 0);
    assert.deepEqual(await cluster.traces(job), []);
  });

  it("lets the node use its own store or pull, with archive_format none", async () => {
    const job = cluster.job({ image: demo, podman: 'archive_format = "none"' });
    assert.doesNotMatch(await job.ready(), /archive/);
    const run = await job.run("build_script", "echo in the image");
    assert.match(run.stdout, /^in the image$/m, logOf(run));
  });

  it("blames Podman when it fails before the script, and shows its words", async () => {
    const job = cluster.job({ image: demo, podman: 'custom_options = ["--no-such-option"]' });
    await job.ready();
    const run = await job.run("build_script", "echo ran");
    assert.equal(run.exitCode, 2, logOf(run));
    assert.match(run.stdout, /unknown flag: --no-such-option/);
    assert.match(run.stderr, /Podman failed on the node/);
  });
});
