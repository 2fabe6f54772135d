import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot, ownEtc } from "../../../test/harness/doctor.ts";

describe("the check pause-process", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("pause");
  });
  after(() => bench.close());

  /** Where jobs let Podman keep its note, in a /tmp of the test's own. */
  const place =
    'mount -t tmpfs run /run; mount -t tmpfs -o mode=1777 tmp /tmp; cd /; d=/tmp/jacamar-ci-$uid; "${as_user[@]}" mkdir -p -m 0700 $d $d/libpod/tmp';
  const podman = '"${as_user[@]}" XDG_RUNTIME_DIR=$d podman unshare true 2>/dev/null';

  test("finds nothing wrong with Podman's own, with none, and with the number of a process that has ended", async () => {
    const { kind, text } = await bench.look("pause-process", `${place}; ${podman}`);
    assert.equal(kind, "ok");
    assert.match(text, /^process \d+$/);
    assert.equal((await bench.look("pause-process", place)).text, "none");
    assert.equal((await bench.look("pause-process", `${place}; echo 4194303 > $d/libpod/tmp/pause.pid`)).kind, "ok");
  });

  test("does not wait for a stranger who has taken the directory first, and does not believe them", async () => {
    const taken = "d=/tmp/podman-run-$uid; mkdir -p $d/libpod/tmp; mkfifo $d/libpod/tmp/pause.pid; chown -R 65534 $d";
    assert.equal((await bench.look("pause-process", `${place}; ${taken}`)).text, "none");
  });

  const sleeper = '"${as_user[@]}" sleep 30 > /dev/null 2>&1 & echo $! > $d/libpod/tmp/pause.pid; sleep 0.2';

  test("finds a note that names another process of the user's", async () => {
    const { findings } = await bench.look("pause-process", `${place}; ${sleeper}`);
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["pause-process-stale"],
    );
    assert.equal(findings[0]?.command, `rm /tmp/jacamar-ci-${bench.user.uid}/libpod/tmp/pause.pid`);
  });

  test("finds a pause process that is older than the subordinate ids", async () => {
    const take = 'sed -i "/^$user:/d" /etc/subuid';
    const give = "cp $work/subuid /etc/subuid";
    const before = `${place}; ${ownEtc}; cp /etc/subuid $work/subuid; ${take}; ${podman}; ${give}`;
    const { findings } = await bench.look("pause-process", before);
    assert.deepEqual(
      findings.map(({ name, command }) => [name, command]),
      [["pause-process-outdated", "podman system migrate"]],
    );
  });
});
