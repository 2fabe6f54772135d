import { existsSync, readdirSync } from "node:fs";
import { readPodmanOptions } from "../../check/podman-options.ts";
import type { Config } from "../../config/schema.ts";
import { asRoot, defineCheck, type Finding, outcomeOf, type Remedy, skipped } from "../check.ts";
import type { CdiSpec } from "../cdi.ts";

type Name = "devices-no-specification" | "devices-unknown" | "devices-stale" | "devices-unreadable";

/** Podman's own places (containers.conf, `cdi_spec_dirs`). */
const places = ["/etc/cdi", "/var/run/cdi"];

export const devices = defineCheck<Name>({
  name: "devices",
  looksAt:
    "CDI specifications (`/etc/cdi`, `/var/run/cdi`) against the devices that are there and those that the configuration names.",
  network: false,
  ofMachine: true,
  explains: ["podman_failed"],
  entries: {
    "devices-no-specification": {
      level: "warning",
      means: "The machine has NVIDIA GPUs and no CDI specification for them.",
      why: "Without it no job can ask for a GPU with `--device nvidia.com/gpu=0`.",
      todo: "Make one, and again after each update of the driver.",
    },
    "devices-unknown": {
      level: "wrong",
      means: "The configuration names a device that no CDI specification has.",
      why: "Podman fails with `unresolvable CDI devices`.",
      todo: "Compare with `nvidia-ctk cdi list`, and make the specification anew.",
    },
    "devices-stale": {
      level: "wrong",
      means: "A CDI specification names a device file or a library that is not there.",
      why: "It was made for another driver, or for devices that are gone. Containers with such a device do not start.",
      todo: "Make the specification anew.",
    },
    "devices-unreadable": {
      level: "warning",
      means: "A CDI specification cannot be read or understood.",
      why: "Podman passes it by, and does not know the devices in it.",
      todo: "Make it anew, readable for everybody.",
    },
  },
  async look({ config, usesPodman }, report) {
    if (!usesPodman) return skipped("no job runs in a container");
    const wanted = cdiDevices(config);
    const files = places.flatMap(filesOf);
    const gpus = countNvidia();
    if (files.length === 0 && wanted.length === 0 && gpus === 0) return skipped("no such devices");
    const make = asRoot("nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml");
    const { readSpec } = await import("../cdi.ts");
    const findings: Finding[] = [];
    const specs: CdiSpec[] = [];
    for (const file of files) {
      const spec = readSpec(file);
      if ("why" in spec)
        findings.push(
          report("devices-unreadable", `the CDI specification ${file} ${spec.why}`, "tell the administrator"),
        );
      else specs.push(spec);
    }
    if (gpus > 0 && !specs.some(({ kind }) => kind.startsWith("nvidia.com/"))) {
      const text = `this machine has ${gpus} NVIDIA GPUs and no CDI specification for them`;
      findings.push(report("devices-no-specification", text, "ask the administrator to make one", make));
    }
    const known = new Set(specs.flatMap(({ kind, devices: names }) => names.map((name) => `${kind}=${name}`)));
    for (const device of wanted.filter((name) => !known.has(name))) {
      const text = `no CDI specification has the device ${device} of the configuration`;
      findings.push(
        report(
          "devices-unknown",
          text,
          "ask the administrator for one",
          device.startsWith("nvidia.com/") ? make : undefined,
        ),
      );
    }
    for (const { file, kind, paths } of specs) {
      const gone = paths.filter((path) => !existsSync(path));
      if (gone.length > 0) findings.push(stale(file, kind, gone));
    }
    return outcomeOf(findings, `${known.size} in ${specs.length} specifications`);

    function stale(file: string, kind: string, gone: readonly string[]): Finding {
      const more = gone.length > 1 ? ` and ${gone.length - 1} more` : "";
      const text = `the CDI specification ${file} names ${gone[0] ?? ""}${more}, which is not there`;
      const remedy: Remedy | undefined = kind.startsWith("nvidia.com/") ? make : undefined;
      return report("devices-stale", text, "ask the administrator to make it anew", remedy);
    }
  },
});

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(?:json|ya?ml)$/.test(name))
      .map((name) => `${directory}/${name}`);
  } catch {
    return [];
  }
}

/** The devices of the configuration that have a CDI name: `vendor.com/class=device`. */
function cdiDevices(config: Config): string[] {
  const { custom_options: custom, runner_options: runner } = config.general.podman ?? {};
  return [...readPodmanOptions(custom).options, ...readPodmanOptions(runner).options]
    .filter(({ name, value }) => name === "device" && /^[\w.-]+\/[\w.-]+=./.test(value))
    .map(({ value }) => value);
}

function countNvidia(): number {
  try {
    return readdirSync("/dev").filter((name) => /^nvidia\d+$/.test(name)).length;
  } catch {
    return 0;
  }
}
