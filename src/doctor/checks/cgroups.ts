import { existsSync, statfsSync } from "node:fs";
import { systemRuntimeDirectory } from "../../podman/surroundings.ts";
import { readPodmanOptions } from "../../check/podman-options.ts";
import type { Config } from "../../config/schema.ts";
import { asRoot, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";
import { engineSetting } from "../engine-setting.ts";

type Name = "cgroups-no-session" | "cgroups-no-limits" | "cgroups-no-controller";

const cgroup2Magic = 0x63677270;

/** Options of `podman run` that need a controller of cgroups. */
const controllers: Readonly<Record<string, string>> = {
  memory: "memory",
  "memory-swap": "memory",
  "memory-reservation": "memory",
  cpus: "cpu",
  "cpu-shares": "cpu",
  "cpu-quota": "cpu",
  "cpu-period": "cpu",
  "cpuset-cpus": "cpuset",
  "cpuset-mems": "cpuset",
  "pids-limit": "pids",
  "blkio-weight": "io",
};

export const cgroups = defineCheck<Name>({
  name: "cgroups",
  looksAt:
    "The version of cgroups, who manages them for the user's Podman, and the controllers that options of the configuration need.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed"],
  entries: {
    "cgroups-no-session": {
      level: "warning",
      means: "Podman wants systemd to manage cgroups, and the user has no session of systemd's.",
      why: "Jobs come without a login. Podman then warns on every call and does without, or fails, by its version.",
      todo: 'Turn lingering on, so that the user\'s systemd is always there, or write `cgroup_manager = "cgroupfs"` into `[engine]` of containers.conf.',
    },
    "cgroups-no-limits": {
      level: "warning",
      means: "The configuration limits memory, CPUs or processes of containers, and this machine cannot.",
      why: "With cgroups version 1, limits of rootless containers are ignored.",
      todo: "Boot with `systemd.unified_cgroup_hierarchy=1` for version 2, or leave the options out: a limit that is none is a trap.",
    },
    "cgroups-no-controller": {
      level: "wrong",
      means: "The configuration limits something whose controller is not delegated to users.",
      why: "systemd delegates only `memory` and `pids` to users unless told otherwise. Podman fails with such an option.",
      todo: "Delegate the controller, or leave the option out.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const podman = await subject.podman();
    if (podman.kind !== "works" || podman.info === undefined) return skipped("Podman does not answer");
    const { cgroupManager: manager, cgroupControllers } = podman.info.host;
    const version = isUnified() ? 2 : 1;
    const findings: Finding[] = [];
    const warned = /no systemd user session available|Falling back to --cgroup-manager=cgroupfs/.test(podman.said);
    const session = systemRuntimeDirectory(subject.account) ?? podman.runtimeDirectory;
    const noBus = manager === "systemd" && !existsSync(`${session}/systemd`) && !existsSync(`${session}/bus`);
    if (warned || noBus) {
      const text = `Podman wants cgroups of systemd, and ${subject.account.name} has no session of systemd's`;
      const advice = "ask the administrator to enable lingering for you";
      const remedy = existsSync("/run/systemd/system")
        ? asRoot(`loginctl enable-linger ${subject.account.name}`)
        : engineSetting("cgroup_manager", "cgroupfs");
      findings.push(report("cgroups-no-session", text, advice, remedy));
    }
    const limits = limitsOf(subject.config);
    const [first] = limits;
    if (version === 1 && first !== undefined) {
      const text = `--${first.option} of the configuration has no effect: this machine has cgroups version 1`;
      findings.push(report("cgroups-no-limits", text, "the administrator can boot with cgroups version 2"));
    }
    const missing =
      version === 2 ? limits.find(({ controller }) => cgroupControllers?.includes(controller) === false) : undefined;
    if (missing !== undefined) {
      const text = `--${missing.option} of the configuration needs the controller ${missing.controller}, which users have not`;
      const file = "/etc/systemd/system/user@.service.d/delegate.conf";
      const delegate = asRoot(
        `mkdir -p ${file.replace(/\/[^/]*$/, "")} && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > ${file} && systemctl daemon-reload`,
      );
      findings.push(report("cgroups-no-controller", text, "ask the administrator to delegate it", delegate));
    }
    return outcomeOf(findings, `version ${version}, managed by ${manager}`);
  },
});

function isUnified(): boolean {
  try {
    return statfsSync("/sys/fs/cgroup").type === cgroup2Magic;
  } catch {
    return false;
  }
}

function limitsOf(config: Config): { option: string; controller: string }[] {
  const { custom_options: custom, runner_options: runner } = config.general.podman ?? {};
  return [...readPodmanOptions(custom).options, ...readPodmanOptions(runner).options].flatMap(({ name }) => {
    const controller = Object.hasOwn(controllers, name) ? controllers[name] : undefined;
    return controller === undefined ? [] : [{ option: name, controller }];
  });
}
