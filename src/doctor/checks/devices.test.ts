import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DoctorBench, needsRoot } from "../../../test/harness/doctor.ts";

/** Writes specifications into a /run of the test's own. */
function specs(files: Readonly<Record<string, string>>): string {
  const lines = Object.entries(files).map(([name, text]) => `cat > /run/cdi/${name} <<'END'\n${text}\nEND`);
  return ["mount -t tmpfs -o mode=755 run /run; mkdir /run/cdi", ...lines].join("\n");
}

const nvidia = (device: string, library = "/etc/passwd") => `cdiVersion: "0.5.0"
kind: nvidia.com/gpu
devices:
  - name: "0"
    containerEdits:
      deviceNodes:
        - path: ${device}
  - name: all
    containerEdits:
      deviceNodes:
        - path: ${device}
containerEdits:
  mounts:
    - hostPath: ${library}
      containerPath: ${library}`;

describe("the check devices", { skip: needsRoot }, () => {
  let bench: DoctorBench;
  before(() => {
    bench = new DoctorBench("devices");
  });
  after(() => bench.close());

  const podman = (options: string) => ({
    asRoot: true,
    configuration: `run_mechanism = "podman"\n[general.podman]\ncustom_options = ${options}`,
  });
  async function found(files: Readonly<Record<string, string>>, options = "[]") {
    return bench.look("devices", specs(files), podman(options));
  }

  test("has nothing to look at without devices and specifications", async () => {
    assert.equal((await found({})).kind, "skipped");
  });

  test("finds nothing wrong with a specification whose files are there, in YAML and JSON", async () => {
    const json =
      '{"cdiVersion": "0.5.0", "kind": "vendor.com/net", "devices": [{"name": "eth", "containerEdits": {}}]}';
    const { kind, text } = await found(
      { "nvidia.yaml": nvidia("/dev/null"), "net.json": json },
      '["--device", "nvidia.com/gpu=0", "--device=vendor.com/net=eth"]',
    );
    assert.deepEqual([kind, text], ["ok", "3 in 2 specifications"]);
  });

  test("finds a specification that was made for other devices or another driver", async () => {
    const { findings } = await found({
      "nvidia.yaml": nvidia("/dev/nvidia-gone"),
      "b.yaml": nvidia("/dev/null", "/usr/lib/libcuda.so.1.2.3"),
    });
    assert.deepEqual(
      findings.map(({ name, text, command }) => [name, / names (\S+?),? /.exec(text)?.[1], command.split(" ")[0]]),
      [
        ["devices-stale", "/usr/lib/libcuda.so.1.2.3", "nvidia-ctk"],
        ["devices-stale", "/dev/nvidia-gone", "nvidia-ctk"],
      ],
    );
  });

  test("finds a device of the configuration that nobody specifies", async () => {
    const { findings } = await found(
      { "nvidia.yaml": nvidia("/dev/null") },
      '["--device=nvidia.com/gpu=7", "--device=/dev/fuse"]',
    );
    assert.deepEqual(
      findings.map(({ name }) => name),
      ["devices-unknown"],
    );
    assert.match(findings[0]?.text ?? "", /nvidia\.com\/gpu=7/);
  });

  test("warns of what is no specification, and of GPUs without one", async () => {
    const { findings } = await found({ "a.yaml": "kind: [", "b.json": '{"devices": []}' });
    assert.deepEqual(
      findings.map(({ name, text }) => [name, text]),
      [
        ["devices-unreadable", "the CDI specification /var/run/cdi/a.yaml is neither YAML nor JSON"],
        ["devices-unreadable", "the CDI specification /var/run/cdi/b.json is not as a specification must be"],
      ],
    );
    const gpus =
      "mkdir $work/dev; mount --bind $work/dev /dev; mknod -m 666 /dev/null c 1 3; touch /dev/nvidia0 /dev/nvidia1 /dev/nvidiactl; exec < /dev/null";
    const looked = await bench.look("devices", `${specs({})}\n${gpus}`, podman("[]"));
    assert.deepEqual(
      looked.findings.map(({ name, text }) => [name, text.slice(0, 28)]),
      [["devices-no-specification", "this machine has 2 NVIDIA GP"]],
    );
  });
});
