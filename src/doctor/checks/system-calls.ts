import { readFileSync } from "node:fs";
import { requireFilter } from "../../auth/requirements.ts";
import { systemErrorCode, JacamarError } from "../../error/error.ts";
import { asRoot, defineCheck, outcomeOf, skipped } from "../check.ts";

type Name = "system-calls-broken" | "system-calls-kernel" | "system-calls-powerless";

/** Bit of CAP_SYS_ADMIN (linux/capability.h). */
const sysAdmin = 1n << 21n;

export const systemCalls = defineCheck<Name>({
  name: "system-calls",
  looksAt: "The filter of `[auth.seccomp]`: libseccomp, the kernel, and whether the filter can be made and loaded.",
  network: false,
  ofMachine: true,
  explains: [],
  entries: {
    "system-calls-broken": {
      level: "wrong",
      means: "The filter that `[auth.seccomp]` asks for cannot be made on this machine.",
      why: "libseccomp is not there or does not know a name, Node.js cannot call it, or no job could run under the filter. A protection that cannot be set up refuses the job.",
      todo: "What the message says. Or take `[auth.seccomp]` out of the configuration.",
    },
    "system-calls-kernel": {
      level: "wrong",
      means: "The kernel has no filters on system calls.",
      why: "It was built without `CONFIG_SECCOMP_FILTER`. The kernels of the distributions have it.",
      todo: "Take another kernel, or `[auth.seccomp]` out of the configuration.",
    },
    "system-calls-powerless": {
      level: "wrong",
      means: "Root has not the capability `CAP_SYS_ADMIN` here, so it cannot load the filter of `[auth.seccomp]`.",
      why: "The machine may be a container, or a unit of systemd's may take the capability away.",
      todo: "Give it back, or set `no_new_privs = true` where neither Podman nor a scheduler is used.",
    },
  },
  async look({ config, isRoot }, report) {
    try {
      const filter = requireFilter(config, undefined);
      if (filter === undefined) return skipped("[auth.seccomp] asks for no filter");
      if (!kernelFilters()) {
        const text = "this kernel has no filters on system calls, so no job runs";
        return outcomeOf([report("system-calls-kernel", text, "ask the administrator for another kernel")], "");
      }
      const { prepareFilter } = await import("../../seccomp/prepare.ts");
      const noNewPrivs = config.auth?.no_new_privs === true;
      await prepareFilter(filter, { uid: 0, gid: 0, noNewPrivs });
      if (isRoot && !noNewPrivs && !hasSysAdmin()) {
        const text = "root has no CAP_SYS_ADMIN here, so the filter on system calls cannot be loaded";
        const look = asRoot("systemctl cat gitlab-runner | grep CapabilityBoundingSet");
        return outcomeOf([report("system-calls-powerless", text, "tell the administrator", look)], "");
      }
      const names = filter.names.length;
      return outcomeOf([], filter.kind === "block" ? `${names} calls are blocked` : `${names} calls are allowed`);
    } catch (error) {
      if (!(error instanceof JacamarError)) throw error;
      return outcomeOf([report("system-calls-broken", error.message, error.hint ?? "tell the administrator")], "");
    }
  },
});

function kernelFilters(): boolean {
  try {
    return readFileSync("/proc/sys/kernel/seccomp/actions_avail", "utf8").includes("errno");
  } catch (error) {
    // Linux before 4.14 does not say, and where /proc is cut nobody knows.
    if (systemErrorCode(error) !== undefined) return /^Seccomp:/m.test(readFileSync("/proc/self/status", "utf8"));
    throw error;
  }
}

function hasSysAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${effective}`) & sysAdmin) !== 0n;
}
