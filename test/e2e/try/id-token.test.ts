import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it, test } from "node:test";
import { keyServer } from "../../../src/auth/key-server.ts";
import { keySource } from "../../../src/auth/keys.ts";
import { verifyToken } from "../../../src/auth/token.ts";
import { readJob } from "../../../src/gitlab/job.ts";
import { asUser, type Ended, testUser, type User } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";
import { TryBench } from "./harness.ts";

const pipeline = `
default:
  id_tokens:
    SITE_ID_TOKEN: {aud: [site, other]}
one:
  variables: {GIT_STRATEGY: none}
  script: [echo "the token is $SITE_ID_TOKEN", 'test "$GITLAB_USER_LOGIN" = alice']
`;

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("There is no free port");
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

test("the token of a job passes the driver's own verification against the job response, and is masked", async () => {
  const bench = new TryBench(pipeline);
  const port = await freePort();
  // The driver's place is the only one where the response, the token and the server are all there at once.
  const hook = `cp "$JOB_RESPONSE_FILE" "$FAKE_HOME/response.json"
    printf %s "$CUSTOM_ENV_SITE_ID_TOKEN" > "$FAKE_HOME/token"
    touch "$FAKE_HOME/asked"; while [ ! -e "$FAKE_HOME/verified" ]; do sleep 0.05; done`;
  const run = bench.start(["--token-server", String(port), "--login", "alice"], { FAKE_PREPARE: hook });
  try {
    while (!existsSync(join(bench.home, "asked"))) await new Promise((resolve) => setTimeout(resolve, 20));
    const server = keyServer(`http://127.0.0.1:${port}`);
    const cacheDirectory = realpathSync(mkdtempSync(join(tmpdir(), "try-keys-")));
    const verdict = await verifyToken({
      token: readFileSync(join(bench.home, "token"), "utf8"),
      job: readJob(join(bench.home, "response.json")),
      server,
      keys: keySource({ server, cacheDirectory, tlsCaFile: undefined, environment: {} }),
      requiredAudience: "site",
      slackSeconds: 0,
      now: new Date(),
    });
    rmSync(cacheDirectory, { recursive: true });
    assert.equal(verdict.kind, "verified", JSON.stringify(verdict));
    assert.equal(verdict.kind === "verified" && verdict.claims.userLogin, "alice");
  } finally {
    writeFileSync(join(bench.home, "verified"), "");
  }
  const { exitCode, stdout, stderr } = await run.outcome;
  assert.equal(exitCode, 0, stdout + stderr);
  assert.match(stdout, /the token is \[MASKED\]\n/);
  assert.match(stderr, new RegExp(`ID tokens: http://127.0.0.1:${port} signs them for "alice"\n`));
  await assert.rejects(fetch(`http://127.0.0.1:${port}`), "the server is closed");
  bench.remove();
});

const isRoot = process.getuid?.() === 0;

describe("jacamar try through jacamar-auth", { skip: isRoot ? false : "becoming another user takes root" }, () => {
  const user = testUser();
  const root: User = { name: "root", uid: 0, gid: 0, home: "/root" };
  const dataDir = join(user.home, ".jacamar-e2e-try");
  let stage: Stage;
  let project = "";
  const caches: string[] = [];

  before(() => {
    stage = stageBundle();
    project = mkdtempSync("/var/tmp/jacamar-try-auth-");
    chmodSync(project, 0o755);
  });
  after(() => {
    stage.remove();
    rmSync(project, { recursive: true, force: true });
    rmSync(dataDir, { recursive: true, force: true });
  });
  afterEach(() => {
    for (const path of caches.splice(0)) rmSync(path, { recursive: true, force: true });
  });

  async function run(yaml: string, options: readonly string[], givenPort?: number): Promise<Ended> {
    const port = givenPort ?? (await freePort());
    const server = encodeURIComponent(`http://127.0.0.1:${port}`);
    caches.push(`/var/cache/jacamar/keys-${server}.json`, `/var/cache/jacamar/people-${server}`);
    writeFileSync(join(project, ".gitlab-ci.yml"), yaml);
    writeFileSync(
      join(project, "jacamar.toml"),
      `
[general]
executor = "shell"
data_dir = "${dataDir}"
gitlab_server = "http://127.0.0.1:${port}"
jwt_env_variable = "SITE_ID_TOKEN"
[auth]
downscope = "setuid"
jwt_required_aud = "site"
[auth.logging]
enabled = false
`,
    );
    chmodSync(join(project, "jacamar.toml"), 0o600);
    const argv = [stage.jacamar, "try", "--driver", join(stage.directory, "jacamar-auth")];
    const where = ["--configuration", join(project, "jacamar.toml"), "--token-server", String(port)];
    return asUser(root, [...argv, ...where, ...options, project], { timeoutSeconds: 120 });
  }

  const two = `
default:
  id_tokens: {SITE_ID_TOKEN: {aud: site}}
make:
  stage: build
  script: ['id -un > who.txt', 'id -u']
  artifacts: {paths: [who.txt]}
use:
  stage: test
  script: ['echo "made by $(cat who.txt), used by $(id -un)"', 'test "$(stat -c %U who.txt)" = "$(id -un)"']
`;

  it("runs the jobs as the user whose login the token names, and hands on artifacts", async () => {
    const { exitCode, stdout, stderr } = await run(two, ["--login", user.name]);
    assert.equal(exitCode, 0, stdout + stderr);
    assert.match(stdout, new RegExp(`made by ${user.name}, used by ${user.name}\n`));
    assert.match(stdout, /use +passed/);
    assert.equal(statSync(dataDir).uid, user.uid);
  });

  it("runs again at once on the same port, with its next key, and leaves nothing of either", async () => {
    const port = await freePort();
    for (const time of ["first", "second"]) {
      const { exitCode, stdout, stderr } = await run(two, ["--login", user.name, "--job", "make"], port);
      assert.equal(exitCode, 0, `${time}: ${stdout}${stderr}`);
    }
    assert.deepEqual(
      caches.filter((path) => existsSync(path)),
      [],
    );
  });

  it("refuses a login that is no account, and root, which is the caller's own", async () => {
    for (const options of [["--login", "no-such-account"], []]) {
      const { exitCode, stdout, stderr } = await run(two, [...options, "--job", "make"]);
      assert.equal(exitCode, 1, stdout + stderr);
      assert.match(stdout, /ERROR: This job may not run here \(id [0-9a-f]{12}\)/);
      assert.doesNotMatch(stdout, /\$ id -u/);
    }
  });

  it("tells a job without a token which lines to add", async () => {
    const { exitCode, stdout } = await run("make: {script: [id -un]}", ["--login", user.name]);
    assert.equal(exitCode, 1, stdout);
    assert.match(stdout, /id_tokens:\n +SITE_ID_TOKEN:\n +aud: "?site"?\n/);
  });

  it("refuses a token for another audience", async () => {
    const { exitCode, stdout } = await run(two.replace("aud: site", "aud: elsewhere"), ["--login", user.name]);
    assert.equal(exitCode, 1, stdout);
    assert.match(stdout, /ERROR: This job may not run here/);
  });
});
