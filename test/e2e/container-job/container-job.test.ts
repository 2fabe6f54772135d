import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TestJob } from "../../harness/job.ts";
import { testUser } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";

const user = testUser();
const dataDir = join(user.home, `.jacamar-e2e-container-job-${process.pid}`);
const configuration = `
[general]
executor = "shell"
data_dir = "${dataDir}"
run_mechanism = "podman"

[general.podman]
image_pull_policy = "never"
`;

describe("a job", () => {
  let stage: Stage;
  before(() => {
    stage = stageBundle();
  });
  after(() => {
    stage.remove();
    rmSync(dataDir, { recursive: true, force: true });
  });

  it("runs its script in the image that it names, as root of the container and the user outside", async () => {
    const job = new TestJob({ user, jacamar: stage.jacamar, configuration, image: "localhost/jacamar-demo:latest" });
    const { config, prepare, run, cleanup } = await job.whole(
      "cat /etc/os-release; id -u; echo made > $OLDPWD/x || true",
    );
    assert.equal(config.exitCode, 0, config.stderr);
    assert.equal(prepare.exitCode, 0, prepare.stderr);
    assert.equal(run.exitCode, 0, run.stderr);
    assert.match(run.stdout, /Jacamar demo image/);
    assert.match(run.stdout, /^0$/m);
    assert.doesNotMatch(run.stdout, /\r/);
    assert.equal(cleanup.exitCode, 0, cleanup.stderr);
    job.remove();
  });

  it("runs its script on the host when it names no image", async () => {
    const job = new TestJob({ user, jacamar: stage.jacamar, configuration });
    const { run } = await job.whole("id -un; exit 7");
    assert.match(run.stdout, new RegExp(`^${user.name}$`, "m"));
    assert.equal(run.exitCode, 1);
    assert.equal(job.buildExitCode(), "7\n");
    job.remove();
  });
});
