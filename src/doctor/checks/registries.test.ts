import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { type GitLabKeys, json, startGitLabKeys } from "../../auth/testing/gitlab-keys.ts";
import { checkConfiguration } from "../../config/load.ts";
import { placesOf, registriesOf } from "../registries.ts";
import { ownSubject } from "../testing/own-subject.ts";
import { registries } from "./registries.ts";

test("registriesOf() finds the hosts of images and of the allowlist", async () => {
  const text = `[general]\nexecutor = "shell"\ndata_dir = "/x"\n[general.podman]
runner_image = "registry.example.com:5000/ci/runner:1"
default_image = "debian"
image_allowlist = ['^quay\\.io/group/.*$', '^(ghcr\\.io|docker\\.io)/x$', 'localhost/x', '.*']`;
  const { config } = await checkConfiguration(text, "f");
  assert.ok(config);
  assert.deepEqual(registriesOf(config), ["registry.example.com:5000", "quay.io", "ghcr.io"]);
});

test("placesOf() asks where Podman would ask", () => {
  const settings = [
    { location: "127.0.0.1", insecure: true, mirror: [] },
    { prefix: "docker.io", location: "mirror.example.com/hub", insecure: false, mirror: [] },
    { prefix: "*.example.org", insecure: true, mirror: [] },
    { location: "quay.io", insecure: false, mirror: [{ location: "cache.example.com:80/quay", insecure: true }] },
  ];
  assert.deepEqual(placesOf("127.0.0.1:5005", settings), [{ host: "127.0.0.1:5005", insecure: true }]);
  assert.deepEqual(placesOf("docker.io", settings), [{ host: "mirror.example.com", insecure: false }]);
  assert.deepEqual(placesOf("docker.io", []), [{ host: "registry-1.docker.io", insecure: false }]);
  assert.deepEqual(placesOf("a.example.org", settings), [{ host: "a.example.org", insecure: true }]);
  assert.deepEqual(placesOf("quay.io", settings), [
    { host: "cache.example.com:80", insecure: true },
    { host: "quay.io", insecure: false },
  ]);
});

describe("the check registries", () => {
  let server: GitLabKeys;
  let host: string;
  let configHome: string;
  before(async () => {
    server = await startGitLabKeys();
    server.behave(json(401, {}));
    host = new URL(server.address).host;
  });
  after(() => server.stop());
  beforeEach(() => {
    configHome = mkdtempSync(join(tmpdir(), "jacamar-doctor-registries-"));
    mkdirSync(join(configHome, "containers"));
  });
  afterEach(() => rmSync(configHome, { recursive: true }));

  async function look(image = `${host}/group/image:1`): Promise<string[]> {
    const subject = await ownSubject(`run_mechanism = "podman"\n[general.podman]\nrunner_image = "${image}"\n`, {
      XDG_CONFIG_HOME: configHome,
    });
    const outcome = await registries.look(subject);
    return outcome.kind === "found" ? outcome.findings.map(({ name, text }) => `${name}: ${text}`) : [outcome.kind];
  }

  test("takes the certificates that Podman has for the host", async () => {
    assert.match(
      (await look()).join(),
      new RegExp(
        `^registry-untrusted: the registry ${host} cannot be asked: its certificate is not trusted \\(\\w+\\); see /etc/containers/certs\\.d/${host}$`,
      ),
    );
    const trusted = join(configHome, "containers/certs.d", host);
    mkdirSync(trusted, { recursive: true });
    writeFileSync(join(trusted, "ca.crt"), server.authority);
    assert.deepEqual(await look(), ["ok"]);
    assert.equal(server.requests.at(-1), "/v2/");
  });

  test("asks one without TLS where Podman may", async () => {
    const plain = await startGitLabKeys({ protocol: "http" });
    try {
      const image = `${new URL(plain.address).host}/image`;
      assert.match((await look(image)).join(), /^registry-unreachable/);
      writeFileSync(
        join(configHome, "containers/registries.conf"),
        '[[registry]]\nlocation = "127.0.0.1"\ninsecure = true\n',
      );
      assert.deepEqual(await look(image), ["ok"]);
    } finally {
      await plain.stop();
    }
  });

  test("is content with a mirror", async () => {
    const plain = await startGitLabKeys({ protocol: "http" });
    try {
      const mirror = new URL(plain.address).host;
      const conf = `[[registry]]\nlocation = "registry.invalid"\n[[registry.mirror]]\nlocation = "${mirror}/x"\ninsecure = true\n`;
      writeFileSync(join(configHome, "containers/registries.conf"), conf);
      assert.deepEqual(await look("registry.invalid/image"), ["ok"]);
    } finally {
      await plain.stop();
    }
  });

  test("has nothing to ask where the configuration names none", async () => {
    assert.deepEqual(await look("debian"), ["skipped"]);
  });
});
