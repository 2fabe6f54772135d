import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startGitlab } from "../../harness/gitlab.ts";
import { TestJob } from "../../harness/job.ts";
import { asUser, checkout, type Ended, otherUser, testUser, type User } from "../../harness/machine.ts";
import { makeAccount, removeAccount } from "../authorisation/support/place.ts";
import { demoAsRoot, demoAsUser } from "./demo.ts";

/** Where packages put their programs. The tests install there, so nothing of a site's may be there. */
const programs = "/opt/jacamar/bin";
const skip =
  process.getuid?.() !== 0
    ? "installing takes root"
    : existsSync("/opt/jacamar")
      ? "something is in /opt/jacamar already"
      : false;

describe("the packages", { skip }, () => {
  const directory = mkdtempSync("/var/tmp/jacamar-e2e-packages-");
  const first = join(directory, "first");
  const second = join(directory, "second");
  before(async () => {
    execFileSync("chmod", ["0755", directory]);
    // The second by another way: another directory, umask, time zone and language.
    const elsewhere = { ...process.env, TZ: "Asia/Tokyo", LANG: "de_DE.UTF-8", LC_ALL: "" };
    await Promise.all([
      makePackages(`exec "$@" --outdir ${first}`, checkout(), process.env),
      makePackages(`umask 077; exec "$@" --outdir ${second}`, "/", elsewhere),
    ]);
  });
  after(() => rmSync(directory, { recursive: true }));

  it("are the same bytes when they are made again", () => {
    const sums = readFileSync(join(first, "SHA256SUMS"), "utf8");
    assert.equal(sums.trim().split("\n").length, 6, sums);
    assert.equal(readFileSync(join(second, "SHA256SUMS"), "utf8"), sums);
    execFileSync("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: first, stdio: "ignore" });
  });

  it("the .deb installs, runs the demo for both kinds of sites without Node.js, and leaves nothing", async () => {
    const before = ours();
    install("jacamar-ci");
    try {
      assert.deepEqual(dpkg(["--verify", "jacamar-ci"]).output, "");
      assert.equal(digest(join(programs, "jacamar")), digest(join(first, "bin/jacamar")));
      assert.equal(statSync(join(programs, "jacamar-auth")).ino, statSync(join(programs, "jacamar")).ino);
      const version = await asUser(testUser(), ["jacamar", "--version"]);
      assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
      for (const page of ["1/jacamar.1", "5/jacamar.toml.5", "8/jacamar-auth.8"]) {
        assert.ok(existsSync(`/usr/share/man/man${page}.gz`), page);
      }
      const examples = "/usr/share/doc/jacamar-ci/examples";
      assertDemo(await demoAsUser({ programs, examples }), testUser().name, "root");
      assertDemo(await demoAsRoot({ programs, examples }), testUser().name, "root");
    } finally {
      purge("jacamar-ci");
    }
    assert.deepEqual(ours(), before);
  });

  it("the .deb with capabilities lets the service account alone become users", async () => {
    const before = ours();
    const service = makeAccount("jacamar-e2e-pkg", ["--system", "--home-dir", "/var/lib/jacamar-e2e-pkg"]);
    try {
      install("jacamar-ci-caps", service.name);
      const auth = statSync(join(programs, "jacamar-auth"));
      assert.deepEqual([auth.uid, auth.gid, auth.mode & 0o7777], [0, service.gid, 0o750]);
      const capabilities = execFileSync("getcap", ["-r", programs], { encoding: "utf8" });
      assert.equal(capabilities, `${programs}/jacamar-auth cap_setgid,cap_setuid=ep\n`);
      const refused = await asUser(testUser(), [join(programs, "jacamar-auth"), "--version"]);
      assert.equal(refused.exitCode, 126);
      await assertServes(service, directory);
      // The next version keeps the account without being told.
      install("jacamar-ci-caps");
      assert.equal(statSync(join(programs, "jacamar-auth")).gid, service.gid);
    } finally {
      purge("jacamar-ci-caps");
      removeAccount(service);
    }
    assert.deepEqual(ours(), before);
  });

  it("the .deb with capabilities does not install without the account, or when others are in its group", () => {
    const before = ours();
    const service = makeAccount("jacamar-e2e-pkg", ["--system", "--no-create-home"]);
    const other = otherUser()?.name ?? "";
    const stranger = "jacamar-e2e-stranger";
    try {
      const missing = tryInstall("jacamar-ci-caps", "jacamar-e2e-nobody");
      assert.notEqual(missing.code, 0);
      assert.match(missing.output, /There is no account "jacamar-e2e-nobody" to run GitLab Runner as/);
      assert.match(missing.output, /JACAMAR_SERVICE_ACCOUNT=NAME dpkg --configure jacamar-ci-caps/);
      execFileSync("usermod", ["--append", "--groups", service.name, other]);
      const shared = dpkg(["--configure", "jacamar-ci-caps"], service.name);
      assert.notEqual(shared.code, 0);
      assert.match(shared.output, new RegExp(`Others are in the group of "${service.name}".*: ${other}\n`));
      assert.match(shared.output, /closed to all until then. Try again with: dpkg --configure jacamar-ci-caps\n/);
      execFileSync("gpasswd", ["--delete", other, service.name], { stdio: "ignore" });
      // Whose only group it is stands in no list of members.
      execFileSync("useradd", ["--system", "--no-create-home", "--gid", service.name, stranger]);
      const primary = dpkg(["--configure", "jacamar-ci-caps"], service.name);
      assert.notEqual(primary.code, 0);
      assert.match(primary.output, new RegExp(`Others are in the group of "${service.name}".*: ${stranger}\n`));
      assert.equal(execFileSync("getcap", ["-r", programs], { encoding: "utf8" }), "");
      assert.equal(statSync(join(programs, "jacamar-auth")).mode & 0o7777, 0o700);
    } finally {
      spawnSync("gpasswd", ["--delete", other, service.name]);
      spawnSync("userdel", [stranger]);
      purge("jacamar-ci-caps");
      removeAccount(service);
    }
    assert.deepEqual(ours(), before);
  });

  it("the .rpm has the same programs, which run the demo from where they were unpacked", async () => {
    const root = join(directory, "rpm");
    mkdirSync(root);
    const rpm = packageFile("jacamar-ci-", ".rpm");
    execFileSync("bash", ["-c", 'rpm2cpio "$1" | cpio --quiet -idm', "-", rpm], { cwd: root });
    const unpacked = join(root, programs);
    assert.equal(digest(join(unpacked, "jacamar")), digest(join(first, "bin/jacamar")));
    const examples = join(root, "usr/share/doc/jacamar-ci/examples");
    assertDemo(await demoAsUser({ programs: unpacked, examples }), testUser().name, "root");
    assertDemo(await demoAsRoot({ programs: unpacked, examples }), testUser().name, "root");
  });

  it("the .rpm with capabilities closes jacamar-auth until it gives it to the account", () => {
    const rpm = packageFile("jacamar-ci-caps-", ".rpm");
    const list = execFileSync("rpm", ["-qplv", rpm], { encoding: "utf8" });
    assert.match(list, /^-rwx------ +1 root +root .*\/opt\/jacamar\/bin\/jacamar-auth$/m);
    // What is not in the list stays when the package goes.
    const paths = new Set(list.split("\n").flatMap((line) => / (\/\S+)(?: -> .*)?$/.exec(line)?.[1] ?? []));
    const ofOurs = [...paths].filter((path) => /^\/opt\/jacamar\/|\/doc\/jacamar-ci\//.test(path));
    assert.deepEqual(
      ofOurs.map((path) => dirname(path)).filter((path) => !paths.has(path)),
      [],
    );
    assert.ok(ofOurs.length > 40);
    const scripts = execFileSync("rpm", ["-qp", "--scripts", rpm], { encoding: "utf8" });
    for (const [, body] of scripts.matchAll(/scriptlet \(using \/bin\/sh\):\n([\s\S]*?)(?=\n\S+ scriptlet|$)/g)) {
      execFileSync("sh", ["-n"], { input: body ?? "" });
    }
    assert.match(scripts, /preinstall[\s\S]*exit 1[\s\S]*postinstall[\s\S]*setcap cap_setuid,cap_setgid=ep/);
  });

  it("the tarball and the npm package run", async () => {
    const opt = join(directory, "opt");
    mkdirSync(opt);
    execFileSync("tar", ["-xzf", packageFile("jacamar-ci-", ".tar.gz"), "-C", opt, "--strip-components=1"]);
    const prefix = join(directory, "npm");
    const options = ["--global", "--offline", "--no-audit", "--no-fund", "--silent", `--prefix=${prefix}`];
    execFileSync("npm", ["install", ...options, packageFile("jacamar-ci-", ".tgz")]);
    const node = checkout("node_modules/node/bin");
    for (const program of ["jacamar", "jacamar-auth"]) {
      const fromTarball = execFileSync(join(opt, "bin", program), ["--version"], { encoding: "utf8", env: {} });
      const env = { PATH: `${node}:/usr/bin:/bin` };
      const fromNpm = execFileSync(join(prefix, "bin", program), ["--version"], { encoding: "utf8", env });
      assert.equal(fromNpm, fromTarball);
    }
  });

  function packageFile(start: string, end: string): string {
    const name = readdirSync(first).find(
      (file) => file.startsWith(start) && /^[\d.]/.test(file.slice(start.length)) && file.endsWith(end),
    );
    assert.ok(name !== undefined, `${start}…${end}`);
    return join(first, name);
  }

  function tryInstall(name: string, account?: string): { code: number | null; output: string } {
    return dpkg(["--install", packageFile(`${name}_`, ".deb")], account);
  }

  function install(name: string, account?: string): void {
    const { code, output } = tryInstall(name, account);
    assert.equal(code, 0, output);
  }
});

/** The environment of a service, with what would make Node.js, the loader or Bash run somebody's code. */
async function assertServes(service: User, directory: string): Promise<void> {
  const gitlab = await startGitlab();
  const user = testUser();
  const trap = join(directory, "trap");
  const sprung = join(directory, "sprung");
  mkdirSync(sprung, { mode: 0o777 });
  execFileSync("chmod", ["0777", sprung]);
  writeFileSync(`${trap}.cjs`, `require("fs").writeFileSync("${sprung}/node", "")\n`);
  writeFileSync(
    `${trap}.c`,
    `#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n#include <fcntl.h>
    __attribute__((constructor)) static void loaded(void) {
      char self[4096] = {0}, name[4200]; if (readlink("/proc/self/exe", self, 4000) < 0) return;
      snprintf(name, sizeof name, "${sprung}/%s", strrchr(self, '/') + 1); close(open(name, O_CREAT | O_WRONLY, 0644)); }\n`,
  );
  execFileSync("gcc", ["-shared", "-fPIC", "-w", "-o", `${trap}.so`, `${trap}.c`]);
  const id = Math.floor(Math.random() * 1e9) + 1;
  const hostile = { NODE_OPTIONS: `--require=${trap}.cjs`, LD_PRELOAD: `${trap}.so`, LD_AUDIT: `${trap}.so` };
  const job = new TestJob({
    user,
    runner: service,
    before: [],
    jacamar: join(programs, "jacamar-auth"),
    id,
    configuration: `[general]
executor = "shell"
data_dir = "${user.home}/.jacamar-e2e-pkg"
gitlab_server = "${gitlab.url}"
jwt_env_variable = "SITE_ID_TOKEN"
[auth]
downscope = "setuid"
[auth.logging]
enabled = false
`,
    variables: { SITE_ID_TOKEN: gitlab.sign({ jobId: id, login: user.name }), ...hostile },
    runnerEnvironment: hostile,
  });
  try {
    const { config, run, cleanup } = await job.whole("id -un; env");
    assert.equal(config.exitCode, 0, config.stderr);
    assert.match(run.stdout, new RegExp(`^${user.name}\n`));
    assert.ok(!run.stdout.includes(trap), run.stdout);
    assert.equal(cleanup.exitCode, 0, cleanup.stderr);
    const loadedBy = readdirSync(sprung);
    // What makes this process the runner's (see startAsUser), and nothing else.
    assert.deepEqual(loadedBy.toSorted(), ["env", "setpriv"], "programs without capabilities load it");
  } finally {
    job.remove();
    rmSync(join(user.home, ".jacamar-e2e-pkg"), { recursive: true, force: true });
    await gitlab.stop();
  }
}

/** The pipeline passed, and each job ran as it should: on the host as the user, in the container as its root. */
function assertDemo(ended: Ended, onHost: string, inContainer: string): void {
  assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
  const users = [...ended.stdout.matchAll(/\$ whoami\S*\n(?:.*\] *)?(\S+)/g)].map(([, name]) => name);
  assert.deepEqual(users, [onHost, inContainer], ended.stdout);
}

async function makePackages(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<void> {
  const argv = ["-c", script, "-", process.execPath, "--no-warnings", checkout("packaging/package.ts")];
  const child = spawn("sh", argv, { cwd, env, stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.equal(code, 0, errors);
}

/**
 * Runs dpkg, which sees a /var/cache of its own: a purge removes the keys of GitLab servers there, and other tests have theirs.
 * Another program may hold dpkg's lock, and dpkg does not wait by itself.
 */
function dpkg(argv: readonly string[], account?: string): { code: number | null; output: string } {
  const env = { ...process.env, LC_ALL: "C", ...(account === undefined ? {} : { JACAMAR_SERVICE_ACCOUNT: account }) };
  const script = `set -e
    mount -t tmpfs none /var/cache
    mkdir -p /var/cache/jacamar /var/cache/debconf && touch /var/cache/jacamar/keys.json
    code=0; dpkg "$@" || code=$?
    case $* in *--purge*) ! [ -e /var/cache/jacamar ] || { echo "The keys are left"; exit 9; } ;; esac
    exit $code`;
  for (let attempt = 0; ; attempt += 1) {
    const ended = spawnSync("unshare", ["--mount", "sh", "-c", script, "-", ...argv], { encoding: "utf8", env });
    const output = ended.stdout + ended.stderr;
    if (!/locked by another process/.test(output) || attempt === 60) return { code: ended.status, output };
    spawnSync("sleep", ["1"]);
  }
}

function purge(name: string): void {
  const { code, output } = dpkg(["--purge", "--force-remove-reinstreq", name]);
  assert.equal(code, 0, output);
}

/** Everything of ours in the places where packages put files. */
function ours(): string[] {
  const places = ["/opt", "/usr/bin", "/usr/sbin", "/usr/share", "/etc/jacamar", "/var/lib/dpkg/info"];
  const find = ["-xdev", "-iname", "*jacamar*", "-not", "-path", "*/man/cat*"];
  const { stdout } = spawnSync("find", [...places, ...find], { encoding: "utf8" });
  return stdout.split("\n").toSorted();
}

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
