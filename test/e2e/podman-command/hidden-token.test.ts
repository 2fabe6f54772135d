import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { slurmMissing } from "../../harness/slurm.ts";
import { Cluster } from "../batch/cluster.ts";
import { type AnyJob, Jobs, logOf } from "../stopping/jobs.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("hidden-token");
});
after(() => jobs.close());

/** As the runner's script calls it, of a `gitlab-runner` that shows what everybody on the machine can see of it. */
const upload = `bin=$(mktemp -d)
printf '%s\\n' '#!/bin/bash' 'tr "\\0" " " < /proc/$$/cmdline' 'echo "token in the environment: $CI_JOB_TOKEN"' > $bin/gitlab-runner
chmod 755 $bin/gitlab-runner
export PATH=$bin:$PATH CI_JOB_TOKEN=own
"gitlab-runner" "artifacts-downloader" "--url" "https://gitlab.example.com/" "--token" "of-another-job" "--id" "7"
rm -r $bin`;

async function uploadIn(job: AnyJob, stage: string): Promise<string> {
  await job.ready();
  const run = await job.run(stage, upload);
  assert.equal(run.exitCode, 0, logOf(run));
  return run.stdout.replaceAll("\r\n", "\n");
}

const runnerImage = { image: "localhost/jacamar-busybox", podman: 'runner_image = "localhost/jacamar-runner"' };

describe("a token of the runner's own scripts", () => {
  for (const [where, wanted] of [
    ["on the host", {}],
    ["in a runner_image", runnerImage],
  ] as const) {
    it(`is on no command line, but in the program's environment (${where})`, async () => {
      const said = await uploadIn(jobs.job(wanted), "download_artifacts");
      assert.match(said, /gitlab-runner artifacts-downloader --url https:\/\/gitlab\.example\.com\/ --id 7 token/);
      assert.match(said, /token in the environment: of-another-job$/m);
    });

    it(`stays where the runner put it with unrestricted_cmd_line (${where})`, async () => {
      const job = jobs.job({ ...wanted, general: "unrestricted_cmd_line = true" });
      const said = await uploadIn(job, "download_artifacts");
      assert.match(said, /--token of-another-job --id 7/);
      assert.match(said, /token in the environment: own$/m);
    });
  }

  it("is none beside a job of Slurm, either, whose script is the user's", { skip: slurmMissing() }, async () => {
    const cluster = new Cluster("hidden-token");
    try {
      const job = cluster.job();
      const said = await uploadIn(job, "download_artifacts");
      assert.match(said, /gitlab-runner artifacts-downloader --url https:\/\/gitlab\.example\.com\/ --id 7 token/);
      assert.match((await job.run("build_script", upload)).stdout, /--token of-another-job/);
    } finally {
      await cluster.close();
    }
  });

  it("is none of ours to hide in the user's script", async () => {
    assert.match(await uploadIn(jobs.job(), "build_script"), /--token of-another-job/);
  });
});
