import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { capture } from "../../process/capture.ts";
import { choosesGpus, gpuGrant } from "./gpu-grant.ts";

const directory = mkdtempSync(join(tmpdir(), "jacamar-gpu-"));
after(() => rmSync(directory, { recursive: true }));

let count = 0;

/** A node's files: contents, or undefined for a device that the job may not open. */
type Tree = Readonly<Record<string, string | undefined>>;

function makeNode(tree: Tree): string {
  count += 1;
  const root = join(directory, `node${count}`);
  for (const [path, content] of Object.entries(tree)) {
    const place = join(root, path);
    // Nobody, not even root, opens a directory for writing.
    mkdirSync(content === undefined ? place : dirname(place), { recursive: true });
    if (content?.startsWith("-> ")) symlinkSync(content.slice(3), place);
    else if (content !== undefined) {
      writeFileSync(place, content);
      chmodSync(place, content.startsWith("#!") ? 0o777 : 0o666);
    }
  }
  return root;
}

interface Given {
  readonly environment?: Readonly<Record<string, string>>;
  readonly podman?: string;
  readonly options?: readonly string[];
}

/** What is added to the options, with the root of the made-up tree taken out again, and what is said. */
async function grant(tree: Tree, { environment = {}, podman = "4.6.2", options = ["run"] }: Given = {}) {
  const root = makeNode({ ...tree, podman: `#!/bin/sh\necho podman version ${podman}\n` });
  const script = `podman=$gpu_root/podman; options=("$@")\n${gpuGrant}\nprintf '%s\\0' "\${options[@]}" >&3`;
  const said = await capture(
    {
      argv: ["/bin/bash", "--noprofile", "--norc", "-c", script, "job", ...options],
      environment: { PATH: `${root}/bin:/usr/bin:/bin`, HOME: `${root}/home`, gpu_root: root, ...environment },
      workingDirectory: "/",
    },
    { timeoutSeconds: 30, answerOnDescriptor3: true },
  );
  const added = said.stdout.split("\0").slice(options.length, -1);
  return { added: added.map((option) => option.replace(root, "")), said: said.stderr.replaceAll(root, "") };
}

/** Two arguments for each device. */
function devices(...names: string[]): string[] {
  return names.flatMap((name) => ["--device", name]);
}

const companions = {
  "dev/nvidiactl": "",
  "dev/nvidia-uvm": "",
  "dev/nvidia-uvm-tools": "",
  "dev/nvidia-caps/nvidia-cap1": "",
};
const companionFiles = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"];
const nvidia4: Tree = { ...companions, "dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidia2": "", "dev/nvidia3": "" };

function information(minor: number, uuid: string): string {
  return `Model: \t\t NVIDIA A100\nGPU UUID: \t ${uuid}\nDevice Minor: \t ${minor}\n`;
}

const uuids = ["GPU-0aaaaaaa-1111", "GPU-1bbbbbbb-2222", "GPU-2ccccccc-3333", "GPU-2ccccccc-4444"] as const;

/** On this node the device files are not in the order of the PCI bus, as on some real ones. */
const twisted: Tree = {
  ...nvidia4,
  "proc/driver/nvidia/gpus/0000:07:00.0/information": information(2, uuids[0]),
  "proc/driver/nvidia/gpus/0000:0f:00.0/information": information(3, uuids[1]),
  "proc/driver/nvidia/gpus/0000:47:00.0/information": information(0, uuids[2]),
  "proc/driver/nvidia/gpus/0000:b7:00.0/information": information(1, uuids[3]),
};

/** As `nvidia-ctk cdi generate` writes it. */
function nvidiaYaml(names: Readonly<Record<string, readonly string[]>>, version = "0.5.0"): string {
  const items = Object.entries(names).map(([name, paths]) => {
    const nodes = paths.map((path) => `    - path: ${path}\n`).join("");
    const hook =
      "    hooks:\n    - args:\n      - nvidia-ctk\n      - hook\n      - --path\n      - /dev/nvidia9\n      hookName: createContainer\n";
    return `- containerEdits:\n    deviceNodes:\n${nodes}${hook}  name: "${name}"\n`;
  });
  return `---\ncdiVersion: ${version}\ncontainerEdits:\n  deviceNodes:\n  - path: /dev/nvidiactl\n  mounts:\n  - containerPath: /usr/bin/x\n    hostPath: /usr/bin/x\ndevices:\n${items.join("")}kind: nvidia.com/gpu\n`;
}

const cards = ["0", "1", "2", "3"].map((number): [string, string[]] => [
  number,
  [`/dev/nvidia${number}`, `/dev/dri/card${number}`],
]);
const cdi4 = nvidiaYaml({ ...Object.fromEntries(cards), all: cards.flatMap(([, paths]) => paths) });

const slurm = (gpus: string, more: Readonly<Record<string, string>> = {}) => ({
  environment: { SLURM_JOB_ID: "7", SLURM_JOB_GPUS: gpus, ...more },
});

describe("gpuGrant, NVIDIA", () => {
  test("gives a job of Slurm its GPUs and no others, by CDI name", async () => {
    const node = { ...nvidia4, "etc/cdi/nvidia.yaml": cdi4 };
    assert.deepEqual(await grant(node, slurm("1,3", { CUDA_VISIBLE_DEVICES: "0,1" })), {
      added: devices("nvidia.com/gpu=1", "nvidia.com/gpu=3"),
      said: "",
    });
    assert.deepEqual((await grant(node, slurm("0-2"))).added, devices(...[0, 1, 2].map((n) => `nvidia.com/gpu=${n}`)));
  });

  test("gives the device files where there is no CDI specification", async () => {
    assert.deepEqual((await grant(nvidia4, slurm("2"))).added, devices("/dev/nvidia2", ...companionFiles));
  });

  test("gives nothing, without a word, where nothing was granted", async () => {
    const silent = { added: [], said: "" };
    for (const environment of [
      {},
      { SLURM_JOB_ID: "7" },
      { SLURM_JOB_ID: "7", CUDA_VISIBLE_DEVICES: "NoDevFiles" },
      { FLUX_JOB_ID: "f", CUDA_VISIBLE_DEVICES: "-1" },
      { PBS_JOBID: "1.x", CUDA_VISIBLE_DEVICES: "" },
      { LSB_JOBID: "1" },
    ]) {
      assert.deepEqual(await grant(nvidia4, { environment }), silent, JSON.stringify(environment));
    }
    assert.deepEqual(await grant({}, {}), silent);
  });

  test("takes a step's grant before its job's", async () => {
    const { added } = await grant(nvidia4, slurm("0,1,2,3", { SLURM_STEP_GPUS: "3" }));
    assert.deepEqual(added, devices("/dev/nvidia3", ...companionFiles));
  });

  test("does not take a user's CUDA_VISIBLE_DEVICES for a grant of Slurm's", async () => {
    const { added, said } = await grant(nvidia4, { environment: { SLURM_JOB_ID: "7", CUDA_VISIBLE_DEVICES: "0,1" } });
    assert.deepEqual(added, []);
    assert.match(said, /^The container gets no GPUs: Slurm has granted none .*CUDA_VISIBLE_DEVICES=0,1/);
  });

  test("counts by place on the PCI bus, whatever the numbers of the device files", async () => {
    assert.deepEqual(
      (await grant(twisted, slurm("0,1"))).added,
      devices("/dev/nvidia2", "/dev/nvidia3", ...companionFiles),
    );
    const byName = await grant({ ...twisted, "var/run/cdi/nvidia.yaml": cdi4 }, slurm("3"));
    assert.deepEqual(byName.added, devices("nvidia.com/gpu=1"));
  });

  test("gives what the job can open where the node hides the rest, whatever the numbers", async () => {
    const hidden: Tree = { ...nvidia4, "dev/nvidia0": undefined, "dev/nvidia1": undefined };
    const both = devices("/dev/nvidia2", "/dev/nvidia3", ...companionFiles);
    assert.deepEqual((await grant(hidden, slurm("2,3", { CUDA_VISIBLE_DEVICES: "0,1" }))).added, both);
    assert.deepEqual((await grant(hidden, slurm("0,1"))).added, both);
    assert.deepEqual(
      (await grant(hidden, { environment: { LSB_JOBID: "1", CUDA_VISIBLE_DEVICES: "0,1" } })).added,
      both,
    );
    const second = await grant(hidden, { environment: { LSB_JOBID: "1", CUDA_VISIBLE_DEVICES: "1" } });
    assert.deepEqual(second.added, devices("/dev/nvidia3", ...companionFiles));
  });

  test("refuses what the job may not open", async () => {
    const hidden: Tree = { ...nvidia4, "dev/nvidia0": undefined };
    const { added, said } = await grant(hidden, slurm("0,1"));
    assert.deepEqual(added, []);
    assert.match(said, /no GPUs: .*"0,1" names \/dev\/nvidia0, which this job may not open/);
    const none = Object.fromEntries([0, 1].map((number) => [`dev/nvidia${number}`, undefined]));
    assert.match((await grant(none, slurm("0"))).said, /may open none/);
  });

  test("knows GPUs by their UUIDs, also by the beginning of one", async () => {
    const lists: [string, string[]][] = [
      [uuids[0], ["/dev/nvidia2"]],
      [`${uuids[3]},${uuids[1]}`, ["/dev/nvidia1", "/dev/nvidia3"]],
      [`${uuids[0]}\\,${uuids[1]}`, ["/dev/nvidia2", "/dev/nvidia3"]],
      ["GPU-1bbb", ["/dev/nvidia3"]],
    ];
    for (const [list, files] of lists) {
      const { added, said } = await grant(twisted, { environment: { PBS_JOBID: "1", CUDA_VISIBLE_DEVICES: list } });
      assert.deepEqual([added, said], [devices(...files, ...companionFiles), ""], list);
    }
    const two = await grant(twisted, { environment: { PBS_JOBID: "1", CUDA_VISIBLE_DEVICES: "GPU-2ccccccc" } });
    assert.deepEqual(two.added, []);
    assert.match(two.said, /no one GPU GPU-2ccccccc/);
  });

  test("knows a slice of a GPU by its CDI name, or where nvidia-smi tells its number", async () => {
    const slice = "MIG-11111111-2222-3333-4444-555555555555";
    const paths = ["/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap12"];
    const environment = { SLURM_JOB_ID: "7", SLURM_JOB_GPUS: "1", CUDA_VISIBLE_DEVICES: slice };
    const byUuid = { ...twisted, "etc/cdi/n.yaml": nvidiaYaml({ "2:0": paths, [slice]: paths }) };
    assert.deepEqual((await grant(byUuid, { environment })).added, devices(`nvidia.com/gpu=${slice}`));
    const listed = `GPU 0: NVIDIA A100 (UUID: ${uuids[2]})\n  MIG 1g.5gb     Device  0: (UUID: MIG-0)\n  MIG 1g.5gb     Device  1: (UUID: ${slice})\n`;
    const byNumber = {
      ...twisted,
      "etc/cdi/n.yaml": nvidiaYaml({ "2:0": paths, "2:1": paths, "0:1": paths }),
      "smi.txt": listed,
    };
    const smi = { ...byNumber, "bin/nvidia-smi": `#!/bin/sh\ncat "$gpu_root/smi.txt"\n` };
    assert.deepEqual((await grant(smi, { environment })).added, devices("nvidia.com/gpu=2:1"));
    const mixed = await grant(byUuid, {
      environment: { ...environment, CUDA_VISIBLE_DEVICES: `${slice},${uuids[0]}` },
    });
    assert.deepEqual(mixed.added, []);
    assert.match(mixed.said, /name only some of the GPUs/);
    const without = await grant(twisted, { environment });
    assert.deepEqual(without.added, []);
    assert.match(without.said, /no CDI specification on this node names MIG-11111111/);
  });

  test("never takes a slice for its whole GPU", async () => {
    const sliced = {
      ...nvidia4,
      "etc/cdi/n.yaml": nvidiaYaml({ "0:0": ["/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap12"] }),
    };
    assert.deepEqual((await grant(sliced, slurm("0"))).added, devices("/dev/nvidia0", ...companionFiles));
  });

  test("refuses, whole, what it cannot understand", async () => {
    for (const list of [
      "all",
      "0,x",
      "0;1",
      "4",
      "0,7",
      "1-9",
      "3-1",
      "1000",
      "0-99999999999",
      "*",
      "$(touch /x)",
      "-2",
      "GPU-",
      "GPU-x y$",
      "0.x",
      "MIG-../../etc",
    ]) {
      for (const environment of [
        { SLURM_JOB_ID: "1", SLURM_JOB_GPUS: list },
        { FLUX_JOB_ID: "1", CUDA_VISIBLE_DEVICES: list },
      ]) {
        const { added, said } = await grant(twisted, { environment });
        assert.deepEqual(added, [], list);
        assert.match(said, /^The container gets no GPUs: [^\n]+\n$/, list);
      }
    }
  });

  test("gives Flux's list by place on the bus", async () => {
    const { added } = await grant(twisted, { environment: { FLUX_JOB_ID: "f", CUDA_VISIBLE_DEVICES: "0,3" } });
    assert.deepEqual(added, devices("/dev/nvidia2", "/dev/nvidia1", ...companionFiles));
  });

  test("reads Torque's file for its own host", async () => {
    const file = join(directory, "gpufile");
    writeFileSync(file, "node1-gpu0\nnode2-gpu3\nnode2.site.example-gpu1\nnode22-gpu2\n");
    const { added } = await grant(nvidia4, { environment: { PBS_JOBID: "1", PBS_GPUFILE: file, HOSTNAME: "node2.x" } });
    assert.deepEqual(added, devices("/dev/nvidia3", "/dev/nvidia1", ...companionFiles));
  });
});

describe("gpuGrant, CDI", () => {
  test("takes only specifications that this Podman can read", async () => {
    const files = devices("/dev/nvidia0", ...companionFiles);
    const named = devices("nvidia.com/gpu=0");
    const cases: [podman: string, cdi: string, expected: string[]][] = [
      ["4.0.3", "0.3.0", files],
      ["4.2.0", "0.4.0", named],
      ["4.2.0", "0.5.0", files],
      ["4.3.1", "0.5.0", named],
      ["4.3.1", "0.6.0", files],
      ["4.9.4", "0.6.0", named],
      ["5.0.3", "0.7.0", files],
      ["5.1.0", "0.7.0", named],
      ["5.4.2", "0.8.0", named],
      ["5.4.2", "1.0.0", files],
      ["5.8.2-rc1", "1.0.0", named],
      ["5.8.2", "1.1.0", files],
      ["6.0.0-dev", "1.1.0", named],
    ];
    for (const [podman, version, expected] of cases) {
      const node = { ...nvidia4, "etc/cdi/nvidia.yaml": nvidiaYaml({ "0": ["/dev/nvidia0"] }, version) };
      assert.deepEqual((await grant(node, { ...slurm("0"), podman })).added, expected, `${podman} ${version}`);
    }
  });

  test("looks where the configuration of a newer Podman says", async () => {
    const node = (setting: string): Tree => ({
      ...nvidia4,
      "etc/containers/containers.conf": `[engine]\n# cdi_spec_dirs = ["/nowhere"]\n${setting}\n`,
    });
    const place = join(directory, "site-cdi");
    mkdirSync(place);
    writeFileSync(join(place, "n.yaml"), nvidiaYaml({ zero: ["/dev/nvidia0"] }));
    for (const setting of [`cdi_spec_dirs = ["/x", "${place}"]`, `cdi_spec_dirs=[\n  "/x",\n  "${place}",\n]`]) {
      const { added } = await grant(node(setting), { ...slurm("0"), podman: "5.2.0" });
      assert.deepEqual(added, devices("nvidia.com/gpu=zero"), setting);
      const older = await grant(node(setting), { ...slurm("0"), podman: "5.0.0" });
      assert.deepEqual(older.added, devices("/dev/nvidia0", ...companionFiles));
    }
  });

  test("reads JSON, in one line or many, whatever stands in its strings", async () => {
    const spec = {
      cdiVersion: "0.5.0",
      kind: "nvidia.com/gpu",
      devices: [
        {
          name: "first",
          containerEdits: {
            deviceNodes: [{ path: "/dev/nvidia0", hostPath: "/dev/nvidia0" }],
            env: ['A={"name": "x"},[', "name: wrong", 'B=\\"'],
            hooks: [{ hookName: "x", path: "/usr/bin/x", args: ["name", "/dev/nvidia3"] }],
          },
        },
        { containerEdits: { deviceNodes: [{ path: "/dev/nvidia1" }] }, name: "second" },
        { name: "all", containerEdits: { deviceNodes: [{ path: "/dev/nvidia0" }, { path: "/dev/nvidia1" }] } },
      ],
      containerEdits: { deviceNodes: [{ path: "/dev/nvidia3" }] },
    };
    for (const text of [JSON.stringify(spec), JSON.stringify(spec, null, 2), ` ${JSON.stringify(spec, null, "\t")}`]) {
      const { added, said } = await grant({ ...nvidia4, "etc/cdi/n.json": text }, slurm("1,0"));
      assert.deepEqual([added, said], [devices("nvidia.com/gpu=second", "nvidia.com/gpu=first"), ""], text);
    }
  });

  test("takes no name at all for all where some GPUs have none, and survives nonsense", async () => {
    const some = { ...nvidia4, "etc/cdi/n.yaml": nvidiaYaml({ "0": ["/dev/nvidia0"] }) };
    assert.deepEqual(
      (await grant(some, slurm("0,1"))).added,
      devices("/dev/nvidia0", "/dev/nvidia1", ...companionFiles),
    );
    for (const text of [
      "",
      "{",
      "[]",
      "devices:",
      "kind: x",
      "\0\x01",
      "{}}}",
      '{"devices":[[[',
      "devices:\n- name: 0\n",
    ]) {
      const { added, said } = await grant({ ...nvidia4, "etc/cdi/n.yaml": text, "etc/cdi/n.json": text }, slurm("0"));
      assert.deepEqual([added, said], [devices("/dev/nvidia0", ...companionFiles), ""], JSON.stringify(text));
    }
  });
});

/** Cards of AMD (0x1002) or Intel (0x8086) by the number of their device file and their place on the bus. */
function drm(vendor: string, places: Readonly<Record<string, string>>): Tree {
  const entries = Object.entries(places).flatMap(([number, place]): [string, string][] => [
    [`dev/dri/renderD${number}`, ""],
    [`sys/devices/${place}/vendor`, `${vendor}\n`],
    [`sys/devices/${place}/unique_id`, `${number}abcdef00\n`],
    [`sys/class/drm/renderD${number}/device`, `-> ../../../devices/${place}`],
  ]);
  return Object.fromEntries(entries);
}

const amd: Tree = {
  "dev/kfd": "",
  ...drm("0x1002", { "128": "0000:c1:00.0", "129": "0000:83:00.0", "130": "0000:d1:00.0" }),
};

describe("gpuGrant, AMD and Intel", () => {
  test("gives AMD's render node and the kernel's own", async () => {
    const { added } = await grant(amd, slurm("0,2", { ROCR_VISIBLE_DEVICES: "0,1" }));
    assert.deepEqual(added, devices("/dev/dri/renderD129", "/dev/dri/renderD130", "/dev/kfd"));
  });

  test("counts AMD's GPUs as its runtime does, where the kernel tells", async () => {
    const nodes = Object.fromEntries(
      [0, 130, 128, 129].map((minor, number) => [
        `sys/class/kfd/kfd/topology/nodes/${number + 9}/properties`,
        `simd_count 1\ndrm_render_minor ${minor}\n`,
      ]),
    );
    const { added } = await grant(
      { ...amd, ...nodes },
      { environment: { FLUX_JOB_ID: "f", CUDA_VISIBLE_DEVICES: "0" } },
    );
    assert.deepEqual(added, devices("/dev/dri/renderD130", "/dev/kfd"));
  });

  test("knows AMD's UUIDs, and HIP's list only without ROCm's", async () => {
    const uuid = await grant(amd, { environment: { LSB_JOBID: "1", ROCR_VISIBLE_DEVICES: "GPU-128ABCDEF00" } });
    assert.deepEqual(uuid.added, devices("/dev/dri/renderD128", "/dev/kfd"));
    const hip = await grant(amd, { environment: { PBS_JOBID: "1", HIP_VISIBLE_DEVICES: "1" } });
    assert.deepEqual(hip.added, devices("/dev/dri/renderD128", "/dev/kfd"));
    const both = await grant(amd, {
      environment: { PBS_JOBID: "1", ROCR_VISIBLE_DEVICES: "2", HIP_VISIBLE_DEVICES: "0" },
    });
    assert.deepEqual(both.added, devices("/dev/dri/renderD130", "/dev/kfd"));
  });

  test("uses AMD's and Intel's CDI names", async () => {
    const json = {
      cdiVersion: "0.5.0",
      kind: "amd.com/gpu",
      devices: [
        { name: "0", containerEdits: { deviceNodes: [{ path: "/dev/kfd" }, { path: "/dev/dri/renderD128" }] } },
      ],
    };
    const named = await grant({ ...amd, "etc/cdi/amd.json": JSON.stringify(json) }, slurm("1"));
    assert.deepEqual(named.added, devices("amd.com/gpu=0"));
    const intelYaml = `cdiVersion: 0.5.0\nkind: intel.com/gpu\ndevices:\n    - name: gpu0\n      containerEdits:\n        deviceNodes:\n            - path: /dev/dri/card0\n              hostPath: /dev/dri/card0\n            - path: /dev/dri/renderD129\n              hostPath: /dev/dri/renderD129\n`;
    const intel = await grant({ ...intelNode, "etc/cdi/i.yaml": intelYaml }, slurm("0"));
    assert.deepEqual(intel.added, devices("intel.com/gpu=gpu0"));
  });

  test("keeps the user's groups where the device is a group's, unless the administrator names groups", async () => {
    const node = { ...amd, "chmod.sh": "" };
    const prepare = { BASH_ENV: join(directory, "chmod.sh") };
    writeFileSync(prepare.BASH_ENV, 'chmod 0660 "$gpu_root"/dev/dri/*\n');
    const given = slurm("1", prepare);
    assert.deepEqual((await grant(node, given)).added, [
      ...devices("/dev/dri/renderD128", "/dev/kfd"),
      "--group-add",
      "keep-groups",
    ]);
    const named = await grant(node, { ...given, options: ["run", "--group-add=render"] });
    assert.deepEqual(named.added, devices("/dev/dri/renderD128", "/dev/kfd"));
  });

  const intelNode: Tree = drm("0x8086", { "128": "0000:00:02.0", "129": "0000:29:00.0", "130": "0000:2a:00.0" });

  test("gives Intel's cards, never the processor's own graphics", async () => {
    assert.deepEqual(
      (await grant(intelNode, slurm("1", { ZE_AFFINITY_MASK: "0" }))).added,
      devices("/dev/dri/renderD130"),
    );
    assert.match((await grant(intelNode, slurm("2"))).said, /names GPU 2, and this node has 2/);
  });

  test("tells the container which part of a card it has", async () => {
    const environment = { PBS_JOBID: "1", ZE_AFFINITY_MASK: "1.1" };
    assert.deepEqual((await grant(intelNode, { environment })).added, [
      ...devices("/dev/dri/renderD130"),
      "--env",
      "ZE_AFFINITY_MASK=0.1",
      "--env",
      "ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE",
    ]);
    const two = await grant(intelNode, { environment: { PBS_JOBID: "1", ZE_AFFINITY_MASK: "0.1,1.0,1.1" } });
    assert.deepEqual(two.added.slice(0, 6), [
      ...devices("/dev/dri/renderD129", "/dev/dri/renderD130"),
      "--env",
      "ZE_AFFINITY_MASK=0.1,1.0,1.1",
    ]);
  });

  test("refuses a number that may be of a card or of a part", async () => {
    const parts = { ...intelNode, "sys/devices/0000:29:00.0/tile1/x": "" };
    const { added, said } = await grant(parts, { environment: { PBS_JOBID: "1", ZE_AFFINITY_MASK: "0" } });
    assert.deepEqual(added, []);
    assert.match(said, /may count parts/);
    const clear = { PBS_JOBID: "1", ZE_AFFINITY_MASK: "0", ZE_FLAT_DEVICE_HIERARCHY: "COMPOSITE" };
    assert.deepEqual((await grant(parts, { environment: clear })).added, devices("/dev/dri/renderD129"));
    assert.deepEqual((await grant(parts, slurm("0"))).added, devices("/dev/dri/renderD129"));
  });

  test("does not guess between makers", async () => {
    const mixed = { ...nvidia4, ...amd };
    const { added, said } = await grant(mixed, slurm("0"));
    assert.deepEqual(added, []);
    assert.match(said, /GPUs of 2 makers/);
    const own = await grant(mixed, { environment: { PBS_JOBID: "1", ROCR_VISIBLE_DEVICES: "0" } });
    assert.deepEqual(own.added, devices("/dev/dri/renderD129", "/dev/kfd"));
    const cuda = await grant(amd, { environment: { PBS_JOBID: "1", ZE_AFFINITY_MASK: "0" } });
    assert.deepEqual(cuda.added, []);
    assert.match(cuda.said, /fits no GPU/);
  });
});

describe("choosesGpus()", () => {
  const yes: string[][] = [
    ["--privileged"],
    ["--privileged=true"],
    ["--gpus", "all"],
    ["--gpus=1"],
    ["--device", "nvidia.com/gpu=all"],
    ["--device=nvidia.com/mig-1g=0"],
    ["--device", "/dev/nvidia0"],
    ["--device=/dev/dri:/dev/dri"],
    ["--device=/dev/kfd"],
    ["-v", "/dev:/dev"],
    ["-v/dev/dri:/dev/dri"],
    ["--volume=/dev//nvidiactl:/dev/nvidiactl"],
    ["--mount", "type=bind,source=/dev/,target=/host"],
    ["-e", "NVIDIA_VISIBLE_DEVICES=all"],
    ["--env=NVIDIA_VISIBLE_DEVICES"],
    ["--network=host", "--device", "/dev/nvidia1"],
  ];
  const no: string[][] = [
    [],
    ["--network=host"],
    ["--privileged=false"],
    ["--device", "/dev/fuse"],
    ["--device=/dev/infiniband"],
    ["--device", "mellanox.com/nic=0"],
    ["-v", "/dev/shm:/dev/shm"],
    ["-v", "/data:/dev/nvidia0"],
    ["--device-cgroup-rule=c 10:200 rwm"],
    ["--label", "gpus=/dev/nvidia0"],
    ["--env", "X=/dev/dri"],
  ];
  for (const options of yes) test(`true for ${options.join(" ")}`, () => assert.equal(choosesGpus(options), true));
  for (const options of no) test(`false for ${options.join(" ")}`, () => assert.equal(choosesGpus(options), false));
});
