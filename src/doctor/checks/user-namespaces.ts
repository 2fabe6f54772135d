import { readdirSync, readFileSync } from "node:fs";
import { capture } from "../../process/capture.ts";
import { asRoot, defineCheck, type Finding, outcomeOf, skipped } from "../check.ts";
import { onSystemPath } from "../../process/program-path.ts";

type Name = "user-namespaces-off" | "user-namespaces-closed" | "user-namespaces-apparmor" | "user-namespaces-refused";

export const userNamespaces = defineCheck<Name>({
  name: "user-namespaces",
  looksAt: "Whether the kernel lets users make user namespaces: its settings, and a try.",
  network: false,
  ofMachine: true,
  explains: ["podman_failed", "image_pull_failed"],
  entries: {
    "user-namespaces-off": {
      level: "wrong",
      means: "The kernel makes no user namespaces at all: `user.max_user_namespaces` is 0.",
      why: "A rootless container is a user namespace. Some hardening guides, and Red Hat 7, switch them off.",
      todo: "Allow them, and write the line into `/etc/sysctl.d`.",
    },
    "user-namespaces-closed": {
      level: "wrong",
      means: "Only root may make user namespaces: `kernel.unprivileged_userns_clone` is 0.",
      why: "Debian's kernel has this switch, and some sites turn it off.",
      todo: "Turn it on, and write the line into `/etc/sysctl.d`.",
    },
    "user-namespaces-apparmor": {
      level: "wrong",
      means: "AppArmor lets only programs with a profile make user namespaces, and Podman has none.",
      why: "Ubuntu from 23.10 on sets `kernel.apparmor_restrict_unprivileged_userns`. Its own package of Podman has a profile; one from another place has not.",
      todo: "Give Podman a profile with `userns,`, as `/etc/apparmor.d/podman` of Ubuntu's package, or turn the restriction off.",
    },
    "user-namespaces-refused": {
      level: "wrong",
      means: "A try to make a user namespace was refused, though no known setting forbids it.",
      why: "The process may run in a container, under a seccomp filter, or have used up the number that a user may have.",
      todo: "Run `unshare --user true` as the user where GitLab Runner runs, and look what stands around that service.",
    },
  },
  async look(subject, report) {
    if (!subject.usesPodman) return skipped("no job runs in a container");
    const findings: Finding[] = [];
    if (readSwitch("/proc/sys/user/max_user_namespaces") === "0") {
      const set = asRoot("sysctl -w user.max_user_namespaces=65536");
      findings.push(
        report(
          "user-namespaces-off",
          "user namespaces are switched off on this machine",
          "ask the administrator to allow them",
          set,
        ),
      );
    }
    if (readSwitch("/proc/sys/kernel/unprivileged_userns_clone") === "0") {
      const set = asRoot("sysctl -w kernel.unprivileged_userns_clone=1");
      findings.push(
        report(
          "user-namespaces-closed",
          "user namespaces are closed to users on this machine",
          "ask the administrator to allow them",
          set,
        ),
      );
    }
    const restricted = readSwitch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") === "1";
    if (restricted && !hasProfile()) {
      const text = "AppArmor forbids Podman to make user namespaces";
      const set = asRoot("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
      findings.push(
        report("user-namespaces-apparmor", text, "ask the administrator for an AppArmor profile for Podman", set),
      );
    }
    // The tool itself may have no profile where AppArmor asks for one.
    const why = findings.length > 0 || restricted || subject.isRoot ? undefined : await whyRefused();
    if (why !== undefined) {
      const text = `a user namespace was refused: ${why}`;
      findings.push(report("user-namespaces-refused", text, "show this line to the administrator"));
    }
    return outcomeOf(findings, "allowed");
  },
});

function readSwitch(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

function hasProfile(): boolean {
  try {
    return readdirSync("/etc/apparmor.d").some((name) => name.includes("podman"));
  } catch {
    return false;
  }
}

async function whyRefused(): Promise<string | undefined> {
  const unshare = onSystemPath("unshare");
  if (unshare === undefined) return undefined;
  const answer = await capture(
    { argv: [unshare, "--user", "/bin/true"], environment: { LC_ALL: "C" }, workingDirectory: "/" },
    { timeoutSeconds: 3 },
  );
  if ("exitCode" in answer.ending && answer.ending.exitCode === 0) return undefined;
  return answer.stderr.trim().split("\n").at(-1)?.slice(0, 200) ?? "no reason was given";
}
