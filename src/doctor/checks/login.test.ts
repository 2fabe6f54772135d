import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

describe("the check login", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("login");
  });
  after(() => bench.close());
  beforeEach(() => bench.run("rm", "-rf", `${bench.user.home}/.bash_profile`, `${bench.user.home}/tools`));

  const profile = (line: string) => `echo '${line}' > $home/.bash_profile`;
  async function names(check: string, setup: string): Promise<string[]> {
    return (await bench.look(check, setup)).findings.map(({ name }) => name);
  }

  test("finds nothing wrong with an ordinary login", async () => {
    const { kind, text } = await bench.look("login");
    assert.equal(kind, "ok");
    assert.match(text, /^\d\.\d s$/);
  });

  test("finds a start-up file that ends the login, one that is slow or never ends, and one that loses the PATH", async () => {
    assert.deepEqual(await names("login", profile("exit 0")), ["login-fails"]);
    assert.deepEqual(await names("login", profile("exec true")), ["login-fails"]);
    assert.deepEqual(await names("login", profile("sleep 2.2")), ["login-slow"]);
    assert.deepEqual(await names("login", profile("PATH=/nowhere")), ["login-no-path"]);
    assert.deepEqual(await names("login", profile("sleep 600")), ["login-fails"]);
  });

  test("the other checks say why they cannot look after a login that fails", async () => {
    const { kind, text } = await bench.look("programs", profile("exit 0"));
    assert.equal(kind, "unknown");
    assert.match(text, /^A login of ".*" ended before it was ready$/);
  });
});

describe("the check programs", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("programs");
  });
  after(() => bench.close());

  /** A PATH with all that there is but some programs, and with a gitlab-runner. */
  const path = (...without: string[]) => `
mkdir $work/bin; ln -s /usr/local/bin/* /usr/bin/* $work/bin/ 2>/dev/null || true
ln -sf /bin/true $work/bin/gitlab-runner; ln -sf /bin/true $work/bin/git-lfs
${without.map((name) => `rm -f $work/bin/${name}; `).join("")}
for d in /usr/lib/git-core /usr/libexec/git-core; do [ ! -e $d/git-lfs ] || mount --bind /dev/null $d/git-lfs; done
echo "PATH=$work/bin" > $home/.bash_profile`;
  async function names(setup: string, configuration?: string): Promise<string[]> {
    const looked = await bench.look("programs", setup, configuration === undefined ? {} : { configuration });
    return looked.findings.map(({ name }) => name);
  }

  test("finds each program that is missing", async () => {
    assert.deepEqual(await names(path()), []);
    assert.deepEqual(await names(path("git")), ["programs-no-git"]);
    assert.deepEqual(await names(path("git-lfs")), ["programs-no-lfs"]);
    assert.deepEqual(await names(path("gitlab-runner")), ["programs-no-runner"]);
    assert.deepEqual(await names(path("mkfifo", "find")), ["programs-no-tool", "programs-no-tool"]);
  });

  test("does not ask for them where all stages run in containers", async () => {
    const all =
      'run_mechanism = "podman"\nforce_mechanism = true\n[general.podman]\ndefault_image = "a"\nrunner_image = "b"\n';
    assert.deepEqual(await names(path("git", "gitlab-runner"), all), []);
    assert.deepEqual(await names(path("git", "gitlab-runner"), `${all}step_script_only = true\n`), [
      "programs-no-git",
      "programs-no-runner",
    ]);
  });
});
