import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

describe("the check runtime-directory", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("rundir");
  });
  after(() => bench.close());

  const ownRun = (mode: string) =>
    `mount -t tmpfs -o mode=755 run /run; mkdir -p /run/user; install -d -m ${mode} -o $user -g $user /run/user/$uid`;
  async function names(setup: string): Promise<string[]> {
    return (await bench.look("runtime-directory", setup)).findings.map(({ name }) => name);
  }

  test("finds nothing wrong with a directory of the system's, or with none", async () => {
    assert.equal((await bench.look("runtime-directory", ownRun("0700"))).text, `/run/user/${bench.user.uid}`);
    assert.match(
      (await bench.look("runtime-directory", "mount -t tmpfs run /run")).text,
      /^\/tmp\/jacamar-ci-\d+, since/,
    );
  });

  test("takes one that the account may not see for none", async () => {
    const closed = "mount -t tmpfs -o mode=755 run /run; install -d -m 0700 /run/user /run/user/$uid";
    assert.match((await bench.look("runtime-directory", closed)).text, /^\/tmp\/jacamar-ci-\d+, since/);
  });

  test("finds a directory that others can enter", async () => {
    assert.deepEqual(await names(ownRun("0755")), ["runtime-directory-unusable"]);
  });

  test("finds that lingering is off where systemd runs", async () => {
    const systemd = `${ownRun("0700")}; mkdir -p /run/systemd/system`;
    assert.deepEqual(await names(systemd), ["runtime-directory-passing"]);
    const linger = `${systemd}; mkdir -p /var/lib/systemd; mount -t tmpfs linger /var/lib/systemd; mkdir /var/lib/systemd/linger; touch /var/lib/systemd/linger/$user`;
    assert.deepEqual(await names(linger), []);
  });

  test("finds that a stranger has taken the place in /tmp", async () => {
    const taken = "mount -t tmpfs run /run; mount -t tmpfs -o mode=1777 tmp /tmp; mkdir -m 0700 /tmp/jacamar-ci-$uid";
    assert.deepEqual(await names(taken), ["runtime-directory-taken"]);
  });
});
