import assert from "node:assert/strict";
import { existsSync, statfsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

const isUnified = statfsSync("/sys/fs/cgroup").type === 0x63677270;
const conf = (manager: string) => `
"\${as_user[@]}" mkdir -p $home/.config/containers
printf '[engine]\\ncgroup_manager = "${manager}"\\n' > $home/.config/containers/containers.conf
mount -t tmpfs run /run`;

describe("the check cgroups", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("cgroups");
  });
  after(() => bench.close());

  test("tells the version and who manages them", async () => {
    const { kind, text } = await bench.look("cgroups", conf("cgroupfs"));
    assert.deepEqual([kind, text], ["ok", `version ${isUnified ? 2 : 1}, managed by cgroupfs`]);
  });

  const noFallback = !isUnified && "with cgroups version 1 Podman itself takes cgroupfs";
  test("finds that Podman wants a session of systemd's that is not there", { skip: noFallback }, async () => {
    const { findings } = await bench.look("cgroups", conf("systemd"));
    assert.deepEqual(
      findings.map(({ name, level }) => [name, level]),
      [["cgroups-no-session", "warning"]],
    );
  });

  const limited = { configuration: 'run_mechanism = "podman"\n[general.podman]\ncustom_options = ["--memory=1g"]' };

  test("finds limits that version 1 ignores", { skip: isUnified && "this machine has cgroups version 2" }, async () => {
    const { findings } = await bench.look("cgroups", conf("cgroupfs"), limited);
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["cgroups-no-limits"],
    );
  });

  const noController = !isUnified
    ? "this machine has cgroups version 1"
    : existsSync("/run/systemd/system") && "systemd delegates the memory controller here";
  test("finds a controller that users have not", { skip: noController }, async () => {
    const { findings } = await bench.look("cgroups", conf("cgroupfs"), limited);
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["cgroups-no-controller"],
    );
  });
});
