// oxlint-disable no-control-regex -- the lines by which GitLab folds up parts of a log have control characters
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TestJob } from "../../harness/job.ts";
import { basicAuth, type Registry, startRegistry } from "../../harness/registry.ts";
import { slurmMissing } from "../../harness/slurm.ts";
import { scriptOutput } from "../podman-support/executors.ts";
import { type BenchJob, Workbench } from "../podman-support/workbench.ts";

const id = Number(String(Date.now()).slice(-9));
/** The harness makes it of the number. All jobs here have the same. */
const token = `glcbt-64_token-of-job-${id}`;
const passwords = { deploy: `pass:word of ${id}`, robot: `robot-word-of-${id}` };

let bench: Workbench;
let registry: Registry;
/** In the registry, for whoever has a password. */
let image: string;
before(async () => {
  bench = new Workbench("registry-auth");
  registry = startRegistry({ "gitlab-ci-token": token, ...passwords });
  const made = await bench.makeImage("private");
  image = bench.removeImageLater(await registry.push(bench.user, made, "group/private/app:1"));
  await bench.podman("rmi", made);
});
after(async () => {
  await bench.close();
  registry.stop();
});

/** `auths` of Docker's config.json with the password of a user of the registry, or with a wrong one. */
function dockerConfig(name: keyof typeof passwords, password: string = passwords[name]): string {
  return JSON.stringify({ auths: { [registry.host]: { auth: basicAuth(name, password) } } });
}

/** `credentials` of the job response, as GitLab sends them for its own registry. */
function credentials(password: string, username = "gitlab-ci-token") {
  return { credentials: [{ type: "registry", url: registry.host, username, password }] };
}

/** `CI_REGISTRY` as GitLab sends it. */
function ciRegistry() {
  return { variables: [{ key: "CI_REGISTRY", value: registry.host, file: false }] };
}

/** Runs the stages up to prepare, and sees to it that none of them shows a secret. */
async function pull(
  options: BenchJob,
  place: Workbench = bench,
): Promise<{ job: TestJob; exitCode: number | undefined; log: string }> {
  const job = place.job({ id, image, ...options, podman: { image_pull_policy: "always", ...options.podman } });
  const config = await job.config();
  const { exitCode, stdout, stderr } = await job.prepare();
  const log = stdout + stderr;
  const all = JSON.stringify([config, stdout, stderr]);
  const secrets = [token, ...Object.values(passwords), "wrong-word"];
  for (const secret of secrets) assert.ok(!all.includes(secret), `the log shows ${secret}`);
  for (const name of ["gitlab-ci-token", "deploy", "robot"]) {
    for (const secret of secrets) assert.ok(!all.includes(basicAuth(name, secret)), `the log shows ${name}:${secret}`);
  }
  return { job, exitCode, log };
}

describe("a private image", () => {
  /** Everything that needs the registry's address must wait until it is there. */
  const cases: [title: string, options: () => BenchJob][] = [
    ["with the credentials that GitLab gave with the job", () => ({ response: credentials(token) })],
    ["with CI_REGISTRY and the job token", () => ({ response: ciRegistry() })],
    ["with DOCKER_AUTH_CONFIG", () => ({ variables: { DOCKER_AUTH_CONFIG: dockerConfig("deploy") } })],
    [
      "with DOCKER_AUTH_CONFIG that has user and password apart, and an address with https:// and /v2/",
      () => {
        const entry = { username: "deploy", password: passwords.deploy };
        return {
          variables: { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [`https://${registry.host}/v2/`]: entry } }) },
        };
      },
    ],
    [
      "with REGISTRY_AUTH_FILE as a variable of type file",
      () => ({
        variables: { REGISTRY_AUTH_FILE: dockerConfig("robot") },
        response: { variables: [{ key: "REGISTRY_AUTH_FILE", value: dockerConfig("robot"), file: true }] },
      }),
    ],
    [
      "with REGISTRY_AUTH_FILE as the path of a file that is there",
      () => ({ variables: { REGISTRY_AUTH_FILE: bench.write("auth.json", dockerConfig("robot")) } }),
    ],
    [
      "with DOCKER_AUTH_CONFIG before the credentials that GitLab gave",
      () => ({ variables: { DOCKER_AUTH_CONFIG: dockerConfig("deploy") }, response: credentials("wrong-word") }),
    ],
    [
      "with the credentials that GitLab gave before CI_REGISTRY",
      () => ({ response: { token: "wrong-word", ...ciRegistry(), ...credentials(passwords.robot, "robot") } }),
    ],
    [
      "with REGISTRY_AUTH_FILE in place of everything else",
      () => ({
        variables: {
          REGISTRY_AUTH_FILE: dockerConfig("robot"),
          DOCKER_AUTH_CONFIG: dockerConfig("deploy", "wrong-word"),
        },
        response: { ...ciRegistry(), ...credentials("wrong-word") },
      }),
    ],
    [
      "with GitLab's credentials when DOCKER_AUTH_CONFIG is for another registry, or empty",
      () => ({
        variables: { DOCKER_AUTH_CONFIG: '{"auths":{"r.example":{"auth":"eDp5"}}}' },
        response: credentials(token),
      }),
    ],
  ];
  for (const [title, options] of cases) {
    it(`is pulled ${title}`, async () => {
      const { exitCode, log } = await pull(options());
      assert.equal(exitCode, 0, log);
    });
  }

  it("runs the job, with Podman's progress in the job log", async () => {
    const { job, log } = await pull({ response: credentials(token) });
    assert.match(log, /^Trying to pull 127\.0\.0\.1:\d+\/group\/private\/app:1\.\.\.$/m);
    assert.match(log, /^Getting image source signatures$/m);
    const pulled = /^The image is pulled: id [0-9a-f]{12}, digest sha256:[0-9a-f]{64}, [0-9.]+ [kM]B, in [0-9hms.]+$/m;
    assert.match(log, pulled);
    // GitLab folds Podman's words up, and shows what stands around them.
    const [, name, folded] = /section_start:\d{10}:(\w+)\[collapsed=true\]\r\x1b\[0K([^]*)section_end:/.exec(log) ?? [];
    assert.ok(folded?.includes("Getting image source signatures"), log);
    assert.match(log, new RegExp(`\\x1b\\[0Ksection_end:\\d{10}:${name}\\r\\x1b\\[0K\\n`));
    assert.doesNotMatch(folded ?? "", pulled);
    assert.match(log, /^Using Podman with image .*\n\x1b\[0Ksection_start:/m);
    const { exitCode, stdout } = await job.run("build_script", ". /etc/os-release; echo $ID");
    assert.deepEqual([exitCode, stdout], [0, "jacamar-busybox\n"]);
  });

  it("is told by the digest that the registry knows, also where Podman has the same image from elsewhere", async () => {
    const [path, tag] = image.slice(registry.host.length + 1).split(":");
    const answer = await fetch(`http://${registry.host}/v2/${path}/manifests/${tag}`, {
      method: "HEAD",
      headers: {
        authorization: `Basic ${basicAuth("deploy", passwords.deploy)}`,
        accept: "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
      },
    });
    const digest = answer.headers.get("docker-content-digest");
    assert.match(
      (await pull({ response: credentials(token) })).log,
      new RegExp(`^The image is pulled:.* ${digest}, `, "m"),
    );
    // Made here and pushed: in a registry the layers are compressed, so it has another digest there.
    const local = bench.removeImageLater(
      await registry.push(bench.user, "localhost/jacamar-busybox", "group/private/made:1"),
    );
    const { log } = await pull({ image: local, response: credentials(token) });
    assert.match(log, /^The image is pulled: id [0-9a-f]{12}, [0-9.]+ [kM]B, in /m);
  });

  describe("as a job of Slurm", { skip: slurmMissing() }, () => {
    let onSlurm: Workbench;
    before(() => {
      onSlurm = new Workbench("registry-auth-slurm", "slurm");
    });
    after(() => onSlurm.close());

    for (const format of ["docker-archive", "oci-dir"]) {
      it(`runs from its archive (${format}), and for nobody else`, async () => {
        const podman = { archive_format: format };
        const { job, exitCode, log } = await pull({ response: credentials(token), podman }, onSlurm);
        assert.equal(exitCode, 0, log);
        // The node has neither the image nor credentials.
        await onSlurm.podman("rmi", "--force", image);
        const run = await job.run("build_script", ". /etc/os-release; echo $ID");
        assert.deepEqual([run.exitCode, scriptOutput(run.stdout)], [0, "jacamar-busybox\n"]);
        const other = await pull({ podman }, onSlurm);
        assert.equal(other.exitCode, 1, other.log);
        assert.match(other.log, /^ERROR: Cannot pull the image .*: the job has no credentials for 127\.0\.0\.1/m);
      });
    }
  });

  it("is pulled without folds where GitLab has none", async () => {
    const { log } = await pull({ response: { ...credentials(token), features: { trace_sections: false } } });
    assert.match(log, /^Getting image source signatures$/m);
    assert.doesNotMatch(log, /section_|\x1b/);
  });

  const none = /: the job has no credentials for 127\.0\.0\.1:\d+, .*\n {2}.* variable DOCKER_AUTH_CONFIG\.$/m;
  const refusals: [title: string, options: () => BenchJob, message: RegExp][] = [
    ["there are no credentials", () => ({}), none],
    [
      "the job token is not the registry's",
      () => ({ response: credentials("wrong-word") }),
      /: the registry refused the job's credentials, .*\n {2}.*DOCKER_AUTH/,
    ],
    [
      "DOCKER_AUTH_CONFIG is wrong, whatever GitLab gave",
      () => ({ variables: { DOCKER_AUTH_CONFIG: dockerConfig("deploy", "wrong-word") }, response: credentials(token) }),
      /: the registry refused the credentials of the CI variable DOCKER_AUTH_CONFIG, .*\n {2}.*may read/,
    ],
    [
      "REGISTRY_AUTH_FILE is wrong, whatever else there is",
      () => ({ variables: { REGISTRY_AUTH_FILE: dockerConfig("robot", "wrong-word") }, response: credentials(token) }),
      /: the registry refused the credentials of the CI variable REGISTRY_AUTH_FILE, .*\n {2}.*may read/,
    ],
    [
      "REGISTRY_AUTH_FILE has nothing for the registry, whatever else there is",
      () => ({ variables: { REGISTRY_AUTH_FILE: '{"auths":{}}' }, response: credentials(token) }),
      /: the job has no credentials for 127\.0\.0\.1:\d+, .*\n {2}.* variable REGISTRY_AUTH_FILE\.$/m,
    ],
  ];
  for (const [title, options, message] of refusals) {
    it(`is refused as the job's own fault, with one clear message, when ${title}`, async () => {
      const { exitCode, log } = await pull(options());
      assert.equal(exitCode, 1, log);
      const errors = log.split("\n").filter((line) => line.startsWith("ERROR:"));
      assert.equal(errors.length, 1, log);
      assert.match(errors[0] ?? "", /^ERROR: Cannot pull the image "127/);
      assert.match(log, message);
    });
  }

  const mistakes: [title: string, variables: Record<string, string>, message: RegExp][] = [
    [
      "DOCKER_AUTH_CONFIG is not JSON",
      { DOCKER_AUTH_CONFIG: `{"auths": wrong-word` },
      /ERROR: The variable DOCKER_AUTH_CONFIG cannot be used as registry credentials: it is not JSON\n {2}Its form is/,
    ],
    [
      "DOCKER_AUTH_CONFIG is JSON of another form",
      { DOCKER_AUTH_CONFIG: `{"auths": ["wrong-word"]}` },
      /ERROR: The variable DOCKER_AUTH_CONFIG cannot be used as registry credentials: it has not the form/,
    ],
    [
      "REGISTRY_AUTH_FILE names no file",
      { REGISTRY_AUTH_FILE: "/no/such/auth.json" },
      /ERROR: The file "\/no\/such\/auth\.json" that REGISTRY_AUTH_FILE names cannot be read\n/,
    ],
    [
      "REGISTRY_AUTH_FILE is not a path",
      { REGISTRY_AUTH_FILE: "wrong-word" },
      /ERROR: The variable REGISTRY_AUTH_FILE is not the absolute path of a file\n/,
    ],
    [
      "REGISTRY_AUTH_FILE is not JSON",
      { REGISTRY_AUTH_FILE: `{"auths": wrong-word` },
      /ERROR: The variable REGISTRY_AUTH_FILE cannot be used as registry credentials: it is not JSON\n/,
    ],
  ];
  for (const [title, variables, message] of mistakes) {
    it(`is refused as the job's own fault, quoting no secret, when ${title}`, async () => {
      const { exitCode, log } = await pull({ variables });
      assert.equal(exitCode, 1, log);
      assert.match(log, message);
    });
  }
});

describe("a pull that fails", () => {
  it("is the job's own fault when the registry does not know the tag", async () => {
    const { exitCode, log } = await pull({ image: image.replace(/:1$/, ":2"), response: credentials(token) });
    assert.equal(exitCode, 1);
    assert.match(log, /^ERROR: Cannot pull the image "127.*:2": the registry does not have it\n {2}Check .* tag\.$/m);
  });

  it("is the job's own fault when the registry does not know the name", async () => {
    const other = image.replace("private/app", "private/other");
    const { exitCode, log } = await pull({ image: other, response: credentials(token) });
    assert.equal(exitCode, 1);
    assert.match(log, /^ERROR: Cannot pull the image "127.*": the registry does not have it$/m);
  });

  it("is the system's fault when the registry is down, so that the runner tries again", async () => {
    const { exitCode, log } = await pull({ image: image.replace(registry.host, "127.0.0.1:9") });
    assert.equal(exitCode, 2);
    assert.match(log, /^ERROR: Cannot pull the image "127\.0\.0\.1:9\/.*connection refused\n.*retry the job/m);
  });

  // What registries and Podman say that we cannot bring about here.
  const words: [said: string, exitCode: number][] = [
    ["reading manifest 1 in r.example/x: denied: access forbidden", 1],
    ["reading manifest 1 in docker.io/x/y: requested access to the resource is denied", 1],
    ["reading manifest 1 in quay.io/x/y: unauthorized: access to the requested resource is not authorized", 1],
    ["initializing source docker://r.example/x:1: pinging container registry r.example: 403 (Forbidden)", 1],
    ['choosing image instance: no image found in manifest list for architecture arm64, variant "v8", OS linux', 1],
    ["reading manifest 1 in docker.io/x/y: toomanyrequests: You have reached your pull rate limit.", 2],
    ['pinging container registry r.example: Get "https://r.example/v2/": net/http: TLS handshake timeout', 2],
    ['pinging container registry r.example: Get "https://r.example/v2/": dial tcp: lookup r.example: no such host', 2],
    ['writing blob: storing blob to file "/x/storage1": open /x/storage1: permission denied', 2],
    ['writing blob: storing blob to file "/x/storage1": write /x/storage1: no space left on device', 2],
    ["reading manifest 1 in r.example/x: received unexpected HTTP status: 500 Internal Server Error", 2],
  ];
  for (const [said, wanted] of words) {
    it(`is ${wanted === 1 ? "the job's" : "the system's"} fault when Podman says: ${said}`, async () => {
      const program = bench.write("podman-says", `#!/bin/sh\necho 'Error: ${said}' >&2\nexit 125\n`, 0o700);
      const { exitCode, log } = await pull({ podman: { application_path: program } });
      assert.equal(exitCode, wanted, log);
      assert.ok(log.includes(`Error: ${said}\n`), "the reason in Podman's words");
      assert.match(log, /^ERROR: .*\n {2}\S/m, "a message and a hint");
    });
  }
});
