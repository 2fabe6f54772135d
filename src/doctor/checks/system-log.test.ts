import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

describe("the check system-log", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("syslog");
  });
  after(() => bench.close());

  const noDaemon = `
mkdir -p $work/run; mount --bind $work/run /run
[ ! -e /dev/log ] || mount --bind /dev/null /dev/log`;
  const auth = '[auth]\ndownscope = "setuid"\n[auth.logging]\n';

  async function look(logging: string): Promise<{ kind: string; names: string[]; text: string }> {
    const { kind, findings, text } = await bench.look("system-log", noDaemon, { configuration: auth + logging });
    return { kind, names: findings.map(({ name }) => name), text: findings.map((one) => one.text).join() || text };
  }

  test("finds that no daemon listens, and that the directory of a file is missing", async () => {
    const syslog = await look("");
    assert.deepEqual(syslog.names, ["system-log-missing"]);
    assert.equal(syslog.text, "no daemon listens at /dev/log, so no job runs");
    assert.match((await look('location = "journald"')).text, /no daemon listens at \/run\/systemd\/journal\/stdout/);
    const file = await look('location = "WORK/missing/auth.log"');
    assert.match(file.text, /^the directory .*\/missing of the system log is missing, so no job runs$/);
    assert.deepEqual((await look("required = false")).names, ["system-log-lost"]);
  });

  test("finds nothing wrong with a directory, or where nothing is logged here", async () => {
    assert.equal((await look('location = "WORK/auth.log"')).kind, "ok");
    for (const logging of ["enabled = false", 'network = "tcp"\naddress = "log.example.com:514"']) {
      assert.equal((await look(logging)).kind, "skipped");
    }
    assert.equal((await bench.look("system-log", noDaemon)).kind, "skipped");
  });
});
