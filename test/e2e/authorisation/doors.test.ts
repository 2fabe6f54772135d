import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startGitlab, type TestGitlab } from "../../harness/gitlab.ts";
import { TestJob } from "../../harness/job.ts";
import { testUser, type User } from "../../harness/machine.ts";
import { makeServiceAccount, type ServiceAccount } from "../../harness/service-account.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";

const isRoot = process.getuid?.() === 0;
const user = testUser();
const root: User = { name: "root", uid: 0, gid: 0, home: "/root" };
const dataDir = join(user.home, ".jacamar-e2e-doors");

describe("jacamar-auth", { skip: isRoot ? false : "becoming another user takes root" }, () => {
  let stage: Stage;
  let gitlab: TestGitlab;
  let account: ServiceAccount;
  let service: User;

  before(async () => {
    stage = stageBundle();
    gitlab = await startGitlab();
    account = makeServiceAccount(stage);
    service = account.user;
  });
  after(async () => {
    await gitlab.stop();
    account.remove();
    stage.remove();
    rmSync(dataDir, { recursive: true, force: true });
  });

  function newJob(
    door: Door,
    options: { image?: string; login?: string; claims?: Record<string, unknown> } = {},
  ): TestJob {
    const id = Math.floor(Math.random() * 1e9) + 1;
    return new TestJob({
      user,
      runner: door === "setuid as root" ? root : service,
      before: [],
      jacamar: join(stage.directory, "jacamar-auth"),
      id,
      configuration: configuration(door === "sudo" ? "sudo" : "setuid"),
      variables: {
        SITE_ID_TOKEN: gitlab.sign({ jobId: id, login: options.login ?? user.name }, options.claims),
      },
      ...(options.image === undefined ? {} : { image: options.image }),
    });
  }

  function configuration(downscope: string): string {
    return `
[general]
executor = "shell"
data_dir = "${dataDir}"
run_mechanism = "podman"
gitlab_server = "${gitlab.url}"
jwt_env_variable = "SITE_ID_TOKEN"
kill_timeout = "5s"
[general.podman]
image_pull_policy = "never"
[auth]
downscope = "${downscope}"
[auth.logging]
enabled = false
`;
  }

  const doors = ["setuid as root", "setuid with capabilities", "sudo"] as const;
  type Door = (typeof doors)[number];

  for (const door of doors) {
    describe(`by ${door}`, () => {
      it("runs a script on the host as the user, with the user's groups and no rights", async () => {
        const job = newJob(door);
        const { config, prepare, run, cleanup } = await job.whole(
          "id -un; id -G; grep -E '^(Uid|CapPrm|CapEff)' /proc/self/status; umask; exit 7",
        );
        assert.equal(config.exitCode, 0, config.stderr);
        assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
        const groups = execFileSync("id", ["-G", user.name], { encoding: "utf8" }).trim();
        assert.equal(run.exitCode, 1, run.stdout + run.stderr);
        assert.equal(job.buildExitCode(), "7\n");
        assert.ok(run.stdout.startsWith(`${user.name}\n${groups}\n`), run.stdout);
        assert.match(run.stdout, new RegExp(`Uid:\\s+${user.uid}\\s+${user.uid}\\s+${user.uid}\\s+${user.uid}\n`));
        assert.match(run.stdout, /CapPrm:\s+0+\nCapEff:\s+0+\n0077/);
        assert.equal(run.stderr, "");
        assert.equal(cleanup.exitCode, 0, cleanup.stderr);
        job.remove();
      });

      it("runs a script in a container of the user's", async () => {
        const job = newJob(door, { image: "localhost/jacamar-demo:latest" });
        const { prepare, run, cleanup } = await job.whole("cat /etc/os-release; id -u; exit 125");
        assert.equal(prepare.exitCode, 0, prepare.stdout + prepare.stderr);
        assert.match(run.stdout, /Jacamar demo image/);
        assert.match(run.stdout, /^0$/m);
        assert.equal(run.exitCode, 1, run.stderr);
        assert.equal(job.buildExitCode(), "125\n");
        assert.equal(cleanup.exitCode, 0, cleanup.stderr);
        job.remove();
      });

      it("ends the script when the runner signals the stage", async () => {
        const job = newJob(door);
        await job.config();
        await job.prepare();
        const running = job.start(
          "build_script",
          "trap 'echo ended by TERM; exit 3' TERM; echo started; sleep 300 & wait",
        );
        await running.until("started");
        if (door === "setuid as root") running.killGroup("SIGTERM");
        else
          execFileSync("setpriv", [
            `--reuid=${service.uid}`,
            `--regid=${service.gid}`,
            "--clear-groups",
            "kill",
            "-TERM",
            String(running.pid),
          ]);
        const ended = await running.done;
        assert.match(ended.stdout, /ended by TERM/);
        assert.equal(ended.exitCode, 2, ended.stdout + ended.stderr);
        await job.cleanup();
        job.remove();
      });

      it("refuses root, whatever the token says, with one line and an id", async () => {
        const job = newJob(door, { login: "root" });
        const config = await job.config();
        assert.equal(config.exitCode, 1);
        assert.match(config.stderr, /^ERROR: This job may not run here \(id [0-9a-f]{12}\)\n  The administrators find/);
        assert.equal(config.stdout, "");
        job.remove();
      });

      it("refuses the token of another job", async () => {
        const job = newJob(door, { claims: { job_id: "1" } });
        const config = await job.config();
        assert.equal(config.exitCode, 1);
        assert.match(config.stderr, /^ERROR: This job may not run here/);
        job.remove();
      });
    });
  }
});
