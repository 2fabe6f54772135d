import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

describe("the check system-calls", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("syscalls");
  });
  after(() => bench.close());

  async function look(seccomp: string, setup = "", asRoot = false): Promise<{ kind: string; text: string }> {
    const configuration = `[auth]\ndownscope = "setuid"\n[auth.seccomp]\n${seccomp}`;
    const { kind, text, findings } = await bench.look("system-calls", setup, { configuration, asRoot });
    return { kind, text: findings.map((one) => `${one.name}: ${one.text}`).join() || text };
  }

  const one = 'block_calls = ["ptrace"]';

  test("finds nothing wrong with a filter that can be made and loaded, and looks at none that nobody asks for", async () => {
    assert.deepEqual(await look(one), { kind: "ok", text: "1 calls are blocked" });
    assert.deepEqual(await look(one, "", true), { kind: "ok", text: "1 calls are blocked" });
    assert.equal((await look("disabled = true")).kind, "skipped");
  });

  test("finds a name of no call, and a filter under which no job runs", async () => {
    assert.match((await look('block_calls = ["no_such_call"]')).text, /^system-calls-broken: .* "no_such_call"$/);
    assert.match((await look('block_calls = ["execve"]')).text, /^system-calls-broken: .* no job runs: "execve"$/);
  });

  test("is in force for the other checks, which look as a job does", async () => {
    const under = async (calls: string) => {
      const auth = `[auth]\ndownscope = "setuid"\n[auth.seccomp]\nblock_calls = ["${calls}"]`;
      const { findings } = await bench.look("user-namespaces", "", {
        configuration: `run_mechanism = 'podman'\n${auth}`,
      });
      return findings.map(({ name }) => name);
    };
    assert.deepEqual(await under("ptrace"), []);
    assert.deepEqual(await under("unshare"), ["user-namespaces-refused"]);
  });

  test("finds that libseccomp is not there", async () => {
    const hide =
      'for name in /usr/lib/*/libseccomp.so.2 /usr/lib64/libseccomp.so.2; do [ ! -e "$name" ] || mount --bind /dev/null "$name"; done';
    assert.match((await look(one, hide)).text, /^system-calls-broken: .*libseccomp.so.2" cannot be used/);
  });

  test("finds that root may not load it", async () => {
    const drop = 'set -- setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$@"';
    assert.match((await look(one, drop, true)).text, /^system-calls-powerless: root has no CAP_SYS_ADMIN/);
  });
});
