import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

describe("the check id-mapping", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("idmap");
  });
  after(() => bench.close());

  async function names(setup: string): Promise<string[]> {
    return (await bench.look("id-mapping", setup)).findings.map(({ name }) => name);
  }

  test("finds nothing wrong with the programs of the package", async () => {
    assert.equal((await bench.look("id-mapping")).kind, "ok");
  });

  test("finds a program that has lost its right, and takes a capability for one", async () => {
    const copy = "install -m 0755 $(command -v newuidmap) $work/copy";
    const bind = "mount --bind $work/copy $(command -v newuidmap)";
    const { findings } = await bench.look("id-mapping", `${copy}; ${bind}`);
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["id-mapping-powerless"],
    );
    assert.match(findings[0]?.command ?? "", /^setcap cap_setuid\+ep \/\S*newuidmap \|\| chmod u\+s /);
    assert.deepEqual(await names(`${copy}; setcap cap_setuid+ep $work/copy; ${bind}`), []);
  });

  test("finds that a program is missing", async () => {
    assert.deepEqual(await names("mount --bind /dev/null $(command -v newgidmap)"), ["id-mapping-missing"]);
  });

  test("finds a file system without setuid", async () => {
    const bind =
      "for name in newuidmap newgidmap; do p=$(command -v $name); mount --bind $p $p; mount -o remount,bind,nosuid $p; done";
    assert.deepEqual(await names(bind), ["id-mapping-nosuid"]);
  });

  test("finds no_new_privs", async () => {
    assert.deepEqual(await names('set -- setpriv --no-new-privs "$@"'), ["id-mapping-no-new-privs"]);
  });
});
