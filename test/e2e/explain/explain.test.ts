import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { filesBelow } from "../../harness/snapshot.ts";
import { slurmMissing } from "../../harness/slurm.ts";
import { Cluster } from "../batch/cluster.ts";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";

const demo = "localhost/jacamar-demo";

/** `jacamar explain` of the very job response and configuration that a job has. */
async function explain(jobs: Jobs, job: AnyJob, ...more: readonly string[]) {
  const file = (name: string) => join(job.directory, name);
  const argv = ["explain", "--configuration", file("jacamar.toml"), "--response", file("response.json")];
  return jobs.asUser([jobs.stage.jacamar, ...argv, "--runner-token", "tEsT-runN", ...more]);
}

/** What differs between two runs of the same job, too. */
function without(text: string): string {
  return text
    .replaceAll(/-[0-9a-z]{8}(?=[ '\n"]|$)/g, "-NONCE")
    .replaceAll(/jacamar-ci\.life=[^\s']+/g, "LIFE")
    .replaceAll(/docker-archive:[^\s']+/g, "ARCHIVE")
    .replaceAll(/(?:[0-9a-f]{64}|ID-OF-THE-IMAGE)/g, "ID");
}

describe("jacamar explain", () => {
  let jobs: Jobs;
  before(() => {
    jobs = new Jobs("explain");
  });
  after(() => jobs.close());

  it("prints the very command that a run then gives to Podman, and makes nothing", async () => {
    const calls = join(jobs.directory, "calls");
    const podman = join(jobs.directory, "podman");
    writeFileSync(podman, `#!/bin/bash\nprintf '%s\\0' "$@" >> ${calls}; printf '\\n' >> ${calls}\nexec podman "$@"\n`);
    chmodSync(podman, 0o755);
    jobs.give(podman);
    const options = 'custom_options = ["--env=A=two words"]\ndisable_container_removal = false';
    const job = jobs.job({ image: demo, podman: `application_path = "${podman}"\n${options}` });
    const told = await explain(jobs, job, "--stage", "build_script");
    assert.equal(told.exitCode, 0, logOf(told));
    assert.ok(!existsSync(jobs.dataDir), "it makes no directory");
    assert.ok(!existsSync(calls), "it calls no Podman");

    await job.ready();
    const run = await job.run("build_script", "true");
    assert.equal(run.exitCode, 0, logOf(run));
    const ran = readFileSync(calls, "utf8")
      .split("\n")
      .map((line) => line.split("\0").slice(0, -1))
      .filter(([command, ...args]) => command === "run" && args.some((argument) => argument.endsWith(".bash")));
    const [argv = []] = ran.filter((args) => args.some((argument) => argument.includes("build_script.bash")));
    const shown = /\nbuild_script\n([^]*?)\n(?:\n|$)/.exec(told.stdout)?.[1] ?? "";
    const words = (await jobs.asUser(["bash", "-c", `printf '%s\\0' ${shown.trim()}`])).stdout.split("\0").slice(0, -1);
    assert.deepEqual(words.map(without), [podman, ...argv].map(without));
  });

  it("tells as whom a job would run under [auth], and by which rule, or by which it would not", async () => {
    const auth = (lists: string) => `\n[auth]\ndownscope = "setuid"\n${lists}\n`;
    const allowed = jobs.job({ podman: auth("") });
    const yes = await explain(jobs, allowed, "--login", jobs.user.name);
    assert.equal(yes.exitCode, 0, logOf(yes));
    assert.match(yes.stdout, new RegExp(`It runs as ${jobs.user.name} \\(user id ${jobs.user.uid}\\):\n  job: pass`));
    const refused = jobs.job({ podman: auth(`user_blocklist = ["${jobs.user.name}"]`) });
    const no = await explain(jobs, refused, "--login", jobs.user.name);
    assert.equal(no.exitCode, 1);
    assert.match(no.stdout, /It does not run:\n[^]*lists: refuse: /);
    const root = await explain(jobs, allowed, "--login", "root");
    assert.equal(root.exitCode, 1);
    assert.match(root.stdout, /number: refuse: /);
  });

  it("tells that the image is not allowed", async () => {
    const job = jobs.job({ image: demo, podman: "image_allowlist = ['^docker\\.io/']" });
    const told = await explain(jobs, job);
    assert.equal(told.exitCode, 1);
    assert.match(told.stdout, /It does not run: .*localhost\/jacamar-demo/);
  });

  it("explains a job of a pipeline file, and shows no secret", async () => {
    const file = join(jobs.directory, ".gitlab-ci.yml");
    writeFileSync(file, "test:\n  image: $IMAGE\n  variables: {IMAGE: localhost/x}\n  script: [echo hello]\n");
    jobs.give(file);
    const job = jobs.job({});
    const configuration = join(job.directory, "jacamar.toml");
    const argv = ["explain", "--configuration", configuration, "--job", "test", file];
    const told = await jobs.asUser([jobs.stage.jacamar, ...argv]);
    assert.equal(told.exitCode, 0, logOf(told));
    assert.match(told.stdout, /build_script +on this machine, in a container of localhost\/x/);
    assert.doesNotMatch(told.stdout, /glcbt-/);
    const variables = [
      { key: "SECRET", value: "hush-hush", masked: true },
      { key: "SCHEDULER_PARAMETERS", value: "--comment=hush-hush" },
    ];
    const masked = await explain(jobs, jobs.job({ executor: "slurm", response: { variables } }));
    assert.match(masked.stdout, /--comment=\[HIDDEN\]/, logOf(masked));
    assert.doesNotMatch(logOf(masked), /hush/);
    const wrong = await jobs.asUser([jobs.stage.jacamar, ...argv.with(4, "tset")]);
    assert.match(wrong.stderr, /There is no job "tset"/);
  });
});

describe("jacamar explain of a batch job", { skip: slurmMissing() }, () => {
  let cluster: Cluster;
  before(() => {
    cluster = new Cluster("explain");
  });
  after(() => cluster.close());

  for (const image of [undefined, demo]) {
    it(`prints the very job file that is then run ${image === undefined ? "on the host" : "in a container"}`, async () => {
      const job = cluster.job({ ...(image === undefined ? {} : { image }), general: "retain_logs = true" });
      const told = await explain(cluster.jobs, job);
      assert.equal(told.exitCode, 0, logOf(told));
      assert.match(told.stdout, /\n {2}sbatch --parsable --job-name=jacamar-ci-/);
      await job.ready();
      await job.run("build_script", "true");
      const path = `${job.directoryOf("scriptsDir")}/build_script.job`;
      const shown = told.stdout.slice(told.stdout.indexOf(`${path}:\n`) + path.length + 2);
      const text = shown.slice(0, shown.indexOf("\n\nafter_script\n")).replaceAll(/^ {2}/gm, "");
      assert.equal(without(text.trimEnd()), without(readFileSync(path, "utf8").trimEnd()));
      await job.cleanup();
      assert.deepEqual(
        filesBelow(job.directoryOf("scriptsDir")).filter((file) => file.endsWith("auth.json")),
        [],
      );
    });
  }
});
