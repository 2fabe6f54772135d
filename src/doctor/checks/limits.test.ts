import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";
import { softLimit } from "./limits.ts";

test("softLimit() reads a line of /proc/PID/limits", () => {
  const text =
    "Limit                     Soft Limit           Hard Limit           Units     \nMax processes             1000                 unlimited            processes \nMax open files            unlimited            unlimited            files     \n";
  assert.equal(softLimit(text, "Max processes"), 1000);
  assert.equal(softLimit(text, "Max open files"), Infinity);
});

describe("the check limits", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("limits");
  });
  after(() => bench.close());

  /** Those of a GitLab Runner would count, such as one that another test has started: so none is seen. */
  const alone = "unshare --pid --fork --mount-proc --";

  async function found(setup: string, inside = ""): Promise<string[]> {
    const around = `${setup}; set -- ${alone} bash -c '${inside} "$@"' - "$@"`;
    return (await bench.look("limits", around)).findings.map(({ name, level }) => `${level} ${name}`);
  }

  test("finds that few files or processes are allowed", async () => {
    assert.deepEqual(await found("ulimit -n 4096; ulimit -u 4096"), []);
    assert.deepEqual(await found("ulimit -n 256"), ["warning limits-files"]);
    assert.deepEqual(await found("ulimit -n 4096; ulimit -u 300"), ["warning limits-processes"]);
  });

  test("finds that the allowed processes are nearly used up", async () => {
    const many = `
      for i in $(seq 32); do setpriv --reuid="$uid" --regid="$uid" --init-groups sleep 300 >/dev/null 2>&1 & done
      until [ "$(pgrep --count --uid "$uid" --exact sleep)" = 32 ]; do sleep 0.1; done
      ulimit -u 40;`;
    assert.deepEqual(await found("ulimit -n 4096", many), ["wrong limits-processes-used"]);
  });
});
