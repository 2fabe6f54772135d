import { existsSync, readFileSync } from "node:fs";
import { asRoot, defineCheck, type Finding, outcomeOf, type Report, skipped } from "../check.ts";
import { type Mount, mountOf } from "../mounts.ts";

type Name = "selinux-unlabelled" | "selinux-no-labels" | "selinux-no-policy";

export const selinux = defineCheck<Name>({
  name: "selinux",
  looksAt: "Whether SELinux is on, has rules for containers, and can label the directories of jobs.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed", "script_lost"],
  entries: {
    "selinux-unlabelled": {
      level: "wrong",
      means: "SELinux is on, and the configuration has `selinux_labels = false`.",
      why: "Containers then may not read the job's directories, and no script starts.",
      todo: 'Set `selinux_labels = true`, or `custom_options = ["--security-opt=label=disable"]` where the site wants that.',
    },
    "selinux-no-labels": {
      level: "wrong",
      means: "SELinux is on, and the file system with the jobs' directories has no labels of its own.",
      why: "`:Z` fails on it: `operation not supported`. NFS, Lustre and GPFS are such file systems.",
      todo: "Set `selinux_labels = false`, and let containers use the file system as a whole: `setsebool -P container_use_nfs 1` or `--security-opt=label=disable`.",
    },
    "selinux-no-policy": {
      level: "warning",
      means: "SELinux is on, and there are no rules for containers.",
      why: "They come with the package `container-selinux`. Without them containers run unconfined or not at all.",
      todo: "Install the package `container-selinux`.",
    },
  },
  look({ base, config, usesPodman }, report) {
    if (!usesPodman) return Promise.resolve(skipped("no job runs in a container"));
    const enforcing = readEnforcing();
    if (enforcing === undefined) return Promise.resolve(skipped("SELinux is not on"));
    const labels = config.general.podman.selinux_labels ?? true;
    const disabled = config.general.podman.custom_options.some((option) => option.includes("label=disable"));
    const findings = judgeSelinux({ base, labels, disabled, mount: mountOf(base) }, report);
    if (!existsSync("/etc/selinux/targeted/contexts/files/file_contexts") || !hasContainerRules()) {
      const install = asRoot("dnf install container-selinux");
      findings.push(
        report(
          "selinux-no-policy",
          "SELinux has no rules for containers",
          "ask the administrator to install container-selinux",
          install,
        ),
      );
    }
    return Promise.resolve(enforcing ? outcomeOf(findings, "enforcing") : { kind: "ok", text: "permissive" });
  },
});

/** What SELinux, where it is on, makes of the configuration and of the file system with the jobs' directories. */
export function judgeSelinux(
  state: {
    readonly base: string;
    readonly labels: boolean;
    readonly disabled: boolean;
    readonly mount: Mount | undefined;
  },
  report: Report<Name>,
): Finding[] {
  const { base, labels, disabled, mount } = state;
  if (disabled) return [];
  const canLabel = mount === undefined || mount.options.has("seclabel");
  if (labels && !canLabel) {
    const text = `SELinux cannot label ${base} for containers: ${mount.type} has no labels there`;
    return [
      report(
        "selinux-no-labels",
        text,
        "ask the administrator to set selinux_labels = false",
        asRoot("setsebool -P container_use_nfs 1"),
      ),
    ];
  }
  if (!labels && canLabel) {
    const text = `SELinux does not let containers into ${base}, which is not labelled for them`;
    return [report("selinux-unlabelled", text, "ask the administrator to set selinux_labels = true")];
  }
  return [];
}

function readEnforcing(): boolean | undefined {
  try {
    return readFileSync("/sys/fs/selinux/enforce", "utf8").trim() === "1";
  } catch {
    return undefined;
  }
}

function hasContainerRules(): boolean {
  try {
    return readFileSync("/etc/selinux/targeted/contexts/files/file_contexts", "utf8").includes("container_file_t");
  } catch {
    return true;
  }
}
