import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ended } from "../../harness/machine.ts";
import { basicAuth, type Registry, startRegistry } from "../../harness/registry.ts";
import { makeRecorder, type Recorder } from "../podman-support/recorder.ts";
import { Workbench } from "../podman-support/workbench.ts";

const id = Number(String(Date.now()).slice(-9));
/** The harness makes it of the number. */
const token = `glcbt-64_token-of-job-${id}`;
const password = `pass-word-of-${id}`;

describe("the secrets of a job", () => {
  let bench: Workbench;
  let recorder: Recorder;
  let registry: Registry;
  before(() => {
    bench = new Workbench("podman-secrets");
    recorder = makeRecorder(bench);
    registry = startRegistry({ "gitlab-ci-token": token, deploy: password });
  });
  after(async () => {
    await bench.close();
    registry.stop();
  });

  it("reach no command line, no environment but the driver's own, no log, and no file that others can read", async () => {
    const image = bench.removeImageLater(await registry.push(bench.user, "localhost/jacamar-demo", "group/demo/app:1"));
    const [tokenAuth, passwordAuth] = [basicAuth("gitlab-ci-token", token), basicAuth("deploy", password)];
    const secrets = [token, password, tokenAuth, passwordAuth];
    const job = bench.job({
      id,
      image,
      podman: { application_path: recorder.program, image_pull_policy: "always" },
      variables: { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { "r.example": { auth: passwordAuth } } }) },
      response: {
        credentials: [{ type: "registry", url: registry.host, username: "gitlab-ci-token", password: token }],
      },
    });
    const watch = watchProcesses(secrets);
    const stages: Ended[] = [await job.config(), await job.prepare()];
    assert.deepEqual(
      stages.map((stage) => stage.exitCode),
      [0, 0],
      JSON.stringify(stages),
    );

    const authFile = `${job.directoryOf("scriptsDir")}/auth.json`;
    assert.equal(statSync(authFile).mode & 0o7777, 0o600);
    const auths = { [registry.host]: { auth: tokenAuth }, "r.example": { auth: passwordAuth } };
    assert.deepEqual(JSON.parse(readFileSync(authFile, "utf8")), { auths });

    const script = job.start(
      "build_script",
      "echo running; sleep 1; env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'",
    );
    await script.until("running");
    await sleep(300);
    stages.push(await script.done, await job.run("after_script", "env"), await job.cleanup());
    const seen = watch.stop();

    assert.deepEqual(
      stages.map((stage) => stage.exitCode),
      [0, 0, 0, 0, 0],
    );
    const calls = recorder.take();
    const commands = new Set(calls.map(({ argv }) => argv[0]));
    assert.ok(commands.has("pull") && commands.has("run") && commands.has("ps"), [...commands].join());
    assert.deepEqual(findAny(secrets, JSON.stringify(calls)), [], "what Podman was started with");
    assert.deepEqual(seen.leaks, [], "what the process table showed");
    assert.ok(seen.programs.has("conmon") && seen.programs.has("podman"), [...seen.programs].join());
    assert.deepEqual(findAny(secrets, JSON.stringify(stages)), [], "what the stages printed");
  });
});

function findAny(secrets: readonly string[], text: string): string[] {
  return secrets.filter((secret) => text.includes(secret));
}

/**
 * Looks at all processes of the machine again and again. The driver itself (and what starts it) has the job's variables,
 * and so the secrets, in the environment that the runner gave it; nobody else may.
 */
function watchProcesses(secrets: readonly string[]) {
  const leaks = new Set<string>();
  const programs = new Set<string>();
  function look(): void {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      const command = read(`/proc/${pid}/cmdline`);
      const name = read(`/proc/${pid}/comm`).trim();
      programs.add(name);
      if (findAny(secrets, command).length > 0) leaks.add(`command line of ${name}`);
      const environment = read(`/proc/${pid}/environ`);
      const isDriver = /\/jacamar(?:-auth)?(?:\.cjs)?\0/.test(command);
      if (!isDriver && findAny(secrets, environment).length > 0) leaks.add(`environment of ${name}: ${command}`);
    }
  }
  const timer = setInterval(look, 25).unref(); // a test that fails must not be held up
  return {
    stop: () => {
      clearInterval(timer);
      return { leaks: [...leaks], programs };
    },
  };
}

/** A process may end while it is looked at, and only root may look at everybody's. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
