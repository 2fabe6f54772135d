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

  async function found(setup: string): Promise<string[]> {
    return (await bench.look("limits", setup)).findings.map(({ name, level }) => `${level} ${name}`);
  }

  test("finds that few files or processes are allowed", async () => {
    assert.deepEqual(await found("ulimit -n 4096; ulimit -u 4096"), []);
    assert.deepEqual(await found("ulimit -n 256"), ["warning limits-files"]);
    assert.deepEqual(await found("ulimit -n 4096; ulimit -u 300"), ["warning limits-processes"]);
  });

  test("finds that the allowed processes are nearly used up", async () => {
    const many =
      'ulimit -n 4096; for i in $(seq 32); do "${as_user[@]}" sleep 20 > /dev/null 2>&1 & done; sleep 0.3; ulimit -u 40';
    assert.deepEqual(await found(many), ["wrong limits-processes-used"]);
  });
});
