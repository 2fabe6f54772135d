import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { ImagePlan } from "../mechanism/podman/image-plan.ts";
import { takePipes } from "../process/pipes.ts";
import { failureText, lastLine, PodmanClient } from "./client.ts";
import { provideImage, pullFailure, tryShell } from "./images.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-images-"));
after(() => rmSync(directory, { recursive: true }));

const id = "f".repeat(64);
const never = new AbortController().signal;

const plan: ImagePlan = {
  role: "user",
  key: undefined,
  name: "app:1",
  pullName: "docker.io/library/app:1",
  pullPolicies: ["always"],
  entrypoint: undefined,
  options: [],
  platform: "",
  user: undefined,
};

let count = 0;
/** A stand-in for Podman, for what a real one does not do on demand. `AT` in its parts is the directory of the test. */
function standIn(parts: Readonly<Record<string, string>>) {
  count += 1;
  const at = join(directory, `${count}`);
  mkdirSync(join(at, "pipes"), { recursive: true });
  const cases = Object.entries(parts).map(([command, text]) => `${command}) ${text} ;;\n`);
  const text = `#!/bin/bash\necho "$*" >> AT/calls\ncase $1 in\n${cases.join("")}esac\n`;
  writeFileSync(join(at, "podman"), text.replaceAll("AT", at), { mode: 0o700 });
  const said: string[] = [];
  const progress: string[] = [];
  const podman = new PodmanClient(join(at, "podman"), { PATH: "/usr/bin:/bin" }, at);
  return {
    at,
    podman,
    said,
    progress,
    calls: () => readFileSync(join(at, "calls"), "utf8").trim().split("\n"),
    provide: (changes: Partial<ImagePlan> = {}, stop = never) =>
      provideImage(
        { ...plan, ...changes },
        {
          podman,
          authFile: "/auth.json",
          say: (line) => said.push(line),
          progress: {
            stdout: (chunk) => progress.push(Buffer.from(chunk).toString()),
            stderr: (chunk) => progress.push(Buffer.from(chunk).toString()),
          },
          takePipes: () => takePipes(join(at, "pipes")),
          stop,
        },
      ),
  };
}

const description = JSON.stringify([{ Id: id, Digest: "sha256:d", Size: 5, Config: { User: "app" }, More: 1 }]);
const inspect = `[ -e AT/there ] && echo '${description}' && exit 0; echo 'Error: inspecting object: app: image not known' >&2; exit 125`;
const pull = "touch AT/there; echo 'Trying to pull…' >&2; echo noise";
const image = { id, digest: "sha256:d", bytes: 5, user: "app" };

describe("provideImage()", () => {
  test("pulls with the job's credentials, and passes on Podman's progress", async () => {
    const { provide, calls, progress, said } = standIn({ image: inspect, pull });
    assert.deepEqual(await provide({ platform: "linux/arm64" }), { image, origin: "pulled" });
    assert.deepEqual(calls(), [
      "pull --authfile /auth.json --platform=linux/arm64 docker.io/library/app:1",
      "image inspect -- docker.io/library/app:1",
    ]);
    assert.deepEqual([progress.join(""), said], ["Trying to pull…\n", []]);
  });

  test("does not ask the registry for an image that is there, unless it always must", async () => {
    const there = { image: inspect, pull };
    for (const [policy, pulls] of [
      ["missing", 0],
      ["never", 0],
      ["always", 1],
      ["newer", 1],
    ] as const) {
      const { at, provide, calls } = standIn(there);
      writeFileSync(join(at, "there"), "");
      const { origin } = await provide({ pullPolicies: [policy] });
      assert.equal(calls().filter((call) => call.startsWith("pull")).length, pulls, policy);
      assert.equal(origin, pulls === 0 ? "local" : "pulled");
    }
  });

  test("pulls what is missing, never with the policy never", async () => {
    const missing = standIn({ image: inspect, pull });
    assert.equal((await missing.provide({ pullPolicies: ["missing"] })).origin, "pulled");
    const { provide, calls } = standIn({ image: inspect, pull });
    await assert.rejects(provide({ pullPolicies: ["never"] }), {
      code: "image_not_found",
      message: /policy is "never"/,
    });
    assert.deepEqual(calls(), ["image inspect -- docker.io/library/app:1"]);
  });

  test("takes the image that is there when the registry cannot be asked for a newer one", async () => {
    const { at, provide } = standIn({ image: inspect, pull: "exit 125" });
    writeFileSync(join(at, "there"), "");
    assert.equal((await provide({ pullPolicies: ["newer"] })).origin, "local");
  });

  test("tries one policy after the other, and says so", async () => {
    const { at, provide, said } = standIn({ image: inspect, pull: "echo 'Error: no such host' >&2; exit 125" });
    writeFileSync(join(at, "there"), "");
    assert.equal((await provide({ pullPolicies: ["always", "missing"] })).origin, "local");
    assert.deepEqual(said, [
      'WARNING: Cannot pull the image "app:1": no such host',
      'Attempt 2: trying the pull policy "missing"',
    ]);
  });

  test("throws the last failure when none works", async () => {
    const { provide } = standIn({ image: inspect, pull: "echo 'Error: no such host' >&2; exit 125" });
    await assert.rejects(provide({ pullPolicies: ["always", "never"] }), { code: "image_not_found" });
    await assert.rejects(provide({ pullPolicies: ["never", "always"] }), { code: "image_pull_failed" });
  });

  test("blames nobody's job for an image that the administrator has chosen", async () => {
    for (const key of ["runner_image", "default_image"] as const) {
      const { provide } = standIn({ image: inspect, pull: "echo 'Error: manifest unknown' >&2; exit 125" });
      for (const pullPolicies of [["never"], ["always"]] as const) {
        const failure = provide({ key, pullPolicies });
        await assert.rejects(failure, { code: "image_pull_failed", blame: "site", hint: new RegExp(key) });
      }
    }
  });

  test("tells the digest that the job asks for, else Podman's where it is the registry's for certain", async () => {
    const [one, two] = ["1", "2"].map((digit) => `sha256:${digit.repeat(64)}`);
    for (const [names, expected] of [
      [[`r.io/app@${one}`], one],
      [[`r.io/app@${one}`, `r.io/app@${two}`], one], // of a list of platforms, and of the image in it
      [[`r.io/app@${one}`, `localhost/app@${one}`], one],
      [[`r.io/app@${one}`, `r.io/app@${two}`, `localhost/app@${one}`, `localhost/app@${two}`], ""],
    ] as const) {
      const about = JSON.stringify([{ Id: id, Digest: one, RepoDigests: names }]);
      const { provide } = standIn({ image: `echo '${about}'`, pull });
      assert.equal((await provide()).image.digest, expected);
      assert.equal((await provide({ pullName: `r.io/app@${two}` })).image.digest, two);
    }
  });

  test("does not take what it cannot understand for an image", async () => {
    for (const answer of ["[]", "null", "x", `[{"Id":"../x"}]`, `[{"Id":"${id}","Digest":5}]`]) {
      const { provide } = standIn({ image: `echo '${answer}'`, pull });
      await assert.rejects(provide(), { code: "podman_failed", message: /cannot be understood/ }, answer);
    }
    const broken = standIn({ image: "echo 'Error: database is locked' >&2; exit 125" });
    await assert.rejects(broken.provide({ pullPolicies: ["never"] }), { code: "podman_failed", message: /locked/ });
  });

  test("ends a pull when the stage is to end", { timeout: 120_000 }, async () => {
    const { provide } = standIn({ image: inspect, pull: "trap '' TERM; sleep 300; sleep 300" });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 200);
    await assert.rejects(provide({}, controller.signal), { code: "image_pull_failed" });
  });
});

describe("tryShell()", () => {
  const stored = { id, digest: "", user: "" };

  test("runs one container, under the job's labels and without network, and reads its exit code", async () => {
    for (const [code, works] of [
      [0, true],
      [126, false],
      [127, false],
    ] as const) {
      const { podman, calls } = standIn({ run: `echo 'Error: not found' >&2; exit ${code}` });
      assert.deepEqual(await tryShell("/bin/sh", stored, podman, ["job=1"]), { works, said: "not found" });
      const [call = ""] = calls();
      for (const part of ["--rm", "--network=none", "--label job=1", "--pull=never", "--entrypoint /bin/sh"]) {
        assert.ok(call.includes(part), part);
      }
      assert.ok(call.endsWith(`${id} -c exit 0`));
    }
  });

  test("does not take a failure of Podman's for an image without the shell", async () => {
    const { podman } = standIn({ run: "echo 'Error: slirp4netns failed' >&2; exit 125" });
    const refused = { code: "podman_failed", message: /slirp4netns failed/ };
    await assert.rejects(tryShell("/bin/bash", stored, podman, []), refused);
  });
});

describe("pullFailure()", () => {
  // What Podman 4.3.1 was seen to say, against docker-registry 2.8 and without network.
  const r = "127.0.0.1:5005/g/p";
  const init = (tail: string) => `Trying to pull ${r}:1...\nError: initializing source docker://${r}:1: ${tail}\n`;
  const rows: [code: string, said: string][] = [
    ["image_not_found", init(`reading manifest 1 in ${r}: unauthorized: authentication required`)],
    [
      "image_not_found",
      init("unable to retrieve auth token: invalid username/password: unauthorized: HTTP Basic: Access denied"),
    ],
    ["image_not_found", init("Requesting bear token: invalid status code from registry 403 (Forbidden)")],
    [
      "image_not_found",
      init("reading manifest 1 in docker.io/library/p: errors:\ndenied: requested access to the resource is denied"),
    ],
    ["image_not_found", init("reading manifest 1 in registry.example.com/g/p: denied: access forbidden")],
    ["image_not_found", init(`reading manifest 1 in ${r}: manifest unknown: manifest unknown`)],
    ["image_not_found", init(`reading manifest 1 in ${r}: name unknown: repository name not known to registry`)],
    [
      "image_not_found",
      'Error: short-name "x" did not resolve to an alias and no unqualified-search registries are defined in "/etc/containers/registries.conf"\n',
    ],
    [
      "image_not_found",
      "Error: choosing an image from manifest list docker://x: no image found in manifest list for architecture arm64\n",
    ],
    [
      "disk_full",
      'Error: writing blob: storing blob to file "/t/storage1": write /t/storage1: no space left on device\n',
    ],
    ["disk_full", "Error: writing blob: disk quota exceeded\n"],
    [
      "image_pull_failed",
      init(
        'pinging container registry 127.0.0.1:5005: Get "http://127.0.0.1:5005/v2/": dial tcp 127.0.0.1:5005: connect: connection refused',
      ),
    ],
    [
      "image_pull_failed",
      init('pinging container registry r: Get "https://r/v2/": dial tcp: lookup r on 10.0.0.1:53: no such host'),
    ],
    ["image_pull_failed", init("received unexpected HTTP status: 503 Service Unavailable")],
    ["image_pull_failed", init('Get "https://r/v2/": net/http: TLS handshake timeout')],
    ["image_pull_failed", init("x509: certificate signed by unknown authority")],
    [
      "image_pull_failed",
      "Error: initializing destination containers-storage:[overlay@/h]x: creating a temporary directory: mkdir /root/storage1: permission denied\n",
    ],
    ["image_pull_failed", 'Error: creating pull: open("/dev/net/tun"): Permission denied\n'],
    ["image_pull_failed", ""],
  ];
  for (const [code, said] of rows) {
    test(`takes ${JSON.stringify(said.slice(-70))} for ${code}`, () => {
      const error = pullFailure("x", said);
      assert.equal(error.code, code);
      assert.match(error.message, /^Cannot pull the image "x": /);
      assert.ok(error.hint);
    });
  }
});

describe("pullFailure() of a registry that refuses", () => {
  const denied = "Error: reading manifest 1: unauthorized: authentication required\n";

  test("tells which credentials it has refused, or that there were none", () => {
    for (const [source, message, hint] of [
      ["GitLab", /: the registry refused the job's credentials, /, /job token settings/],
      [
        "DOCKER_AUTH_CONFIG",
        /: the registry refused the credentials of the CI variable DOCKER_AUTH_CONFIG, /,
        /may read/,
      ],
      [undefined, /: the job has no credentials for r\.io, which does not know the image, or gives/, /DOCKER_AUTH/],
    ] as const) {
      const error = pullFailure("r.io/x", denied, { registry: "r.io", source, variable: "DOCKER_AUTH_CONFIG" });
      assert.equal(error.code, "image_not_found");
      assert.match(error.message, message);
      assert.match(error.hint ?? "", hint);
    }
  });
});

describe("lastLine()", () => {
  test("gives the error among the lines, without its first word", () => {
    assert.equal(lastLine("Trying…\nError: a\nError: b\nnoise\n\n"), "b");
    assert.equal(lastLine("time=1 level=warning\n  last \n \n"), "  last ");
    assert.equal(lastLine(""), "no message");
    assert.equal(failureText({ ending: { signal: "SIGKILL" }, stderr: "\n" }), "it did not answer in time");
    assert.equal(failureText({ ending: { signal: "SIGKILL" }, stderr: "Error: x" }), "x");
    assert.equal(failureText({ ending: { exitCode: 125 }, stderr: "" }), "no message");
    assert.equal(lastLine('time="2026-11-25" level=error msg="cannot use \\"x\\": no"\n'), 'cannot use "x": no');
    assert.equal(lastLine(`Error: ${"x".repeat(10_000)}`).length, 2000);
  });
});
