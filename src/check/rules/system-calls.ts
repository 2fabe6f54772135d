import type { Path } from "../../config/inspect.ts";
import { show } from "../../config/problem.ts";
import { JacamarError } from "../../error/error.ts";
import { blocks, type CallFilter, callFilter } from "../../seccomp/filter.ts";
import { callsThatContainersMiss } from "../../seccomp/needed.ts";
import type { Finding, Rule } from "../rule.ts";

const table: Path = ["auth", "seccomp"];

export const brokenCallFilter: Rule = {
  name: "call-filter-broken",
  severity: "problem",
  means: "`[auth.seccomp]` names what is no system call, or takes away what jobs in containers need.",
  why: "A name that this machine's libseccomp does not know would protect nothing, so no job runs. And without some calls Podman starts no container.",
  remedy: "Correct the name: `man 2 syscalls` lists them. For Podman, let the calls through that the message names.",
  find: async ({ config, elsewhere }) => {
    const filter = callFilter(config.auth?.seccomp);
    if (filter === undefined) return [];
    return [...(elsewhere ? [] : await unknownNames(listed(config.auth?.seccomp))), ...containers(filter, config)];
  },
};

/** Where a name stands. */
interface Listed {
  readonly path: Path;
  readonly name: string;
}

type Seccomp = Parameters<typeof callFilter>[0];
type Config = Parameters<Rule["find"]>[0]["config"];

function listed(seccomp: Seccomp): Listed[] {
  return (["block_calls", "allow_calls"] as const).flatMap((key) =>
    (seccomp?.[key] ?? []).map((name, index) => ({ path: [...table, key, index], name })),
  );
}

async function unknownNames(names: readonly Listed[]): Promise<Finding[]> {
  const { unknownCalls } = await import("../../seccomp/prepare.ts");
  try {
    const unknown = new Set(await unknownCalls(names.map(({ name }) => name)));
    return names
      .filter(({ name }) => unknown.has(name))
      .map(({ path, name }): Finding => {
        const message = `${show(name)} is no system call that libseccomp of this machine knows`;
        return { path, at: "value", message };
      });
  } catch (error) {
    if (!(error instanceof JacamarError)) throw error;
    return [
      { path: table, at: "key", message: error.hint === undefined ? error.message : `${error.message}. ${error.hint}` },
    ];
  }
}

function containers(filter: CallFilter, { general }: Config): Finding[] {
  if (general.run_mechanism !== "podman") return [];
  const missing = callsThatContainersMiss(filter);
  if (missing.length === 0) return [];
  const message = `blocks what Podman needs, so that no job in a container runs: ${missing.join(", ")}`;
  return [{ path: table, at: "key", message }];
}

export const callFilterGap: Rule = {
  name: "call-filter-gap",
  severity: "warning",
  means: "The filter of `[auth.seccomp]` does not reach something that it is probably meant for.",
  why: "A scheduler's own daemon starts the scripts of batch jobs, and they inherit nothing from here. And many calls have a sister that does the same: where only one is blocked, programs take the other.",
  remedy:
    "Have the scheduler limit its jobs. Block the sisters, too, or none. An entry that is in both lists is blocked: remove it from one.",
  find: ({ config }) => {
    const seccomp = config.auth?.seccomp;
    const filter = callFilter(seccomp);
    if (filter === undefined) return [];
    return [
      ...scheduler(config),
      ...listed(seccomp).flatMap((entry) => [...bothLists(entry, seccomp), ...sisters(entry, filter, seccomp)]),
    ];
  },
};

function scheduler({ general }: Config): Finding[] {
  if (general.executor === "shell") return [];
  const message = `with executor = "${general.executor}" the scripts of batch jobs are not filtered: the scheduler starts them`;
  return [{ path: table, at: "key", message }];
}

export const keptRights: Rule = {
  name: "call-filter-keeps-rights",
  severity: "warning",
  means: "`[auth.seccomp]` blocks calls by which programs give rights up, and programs may still gain them.",
  why: "A program with rights from its file (`sudo`, `mount`, `newuidmap`) runs under the filter, too. One that gives its rights up, and does not look whether that worked, keeps them, and does a user's bidding with them.",
  remedy: "Set `no_new_privs = true`, or let the calls through that the message names.",
  find: ({ config: { auth } }) => {
    const filter = callFilter(auth?.seccomp);
    if (filter === undefined || auth?.no_new_privs === true) return [];
    const blocked = givingUp.filter((call) => blocks(filter, call));
    if (blocked.length === 0) return [];
    const message = `blocks ${blocked.join(", ")}, by which programs with rights of their own give them up, without no_new_privs`;
    return [{ path: table, at: "key", message }];
  },
};

/** Calls by which a program lays its rights down. */
const givingUp = [
  "capset",
  "prctl",
  "setfsgid",
  "setfsuid",
  "setgid",
  "setgroups",
  "setregid",
  "setresgid",
  "setresuid",
  "setreuid",
  "setuid",
];

function bothLists({ path, name }: Listed, seccomp: Seccomp): Finding[] {
  if (path[2] !== "allow_calls" || seccomp?.block_calls?.includes(name) !== true) return [];
  return [{ path, at: "value", message: `${show(name)} is in block_calls, too, which outranks this list` }];
}

/** Calls that do the same. */
const families: readonly (readonly string[])[] = [
  ["mkdir", "mkdirat"],
  ["mknod", "mknodat"],
  ["link", "linkat"],
  ["symlink", "symlinkat"],
  ["unlink", "unlinkat"],
  ["rename", "renameat", "renameat2"],
  ["chmod", "fchmodat", "fchmod"],
  ["chown", "lchown", "fchownat", "fchown"],
  ["open", "openat", "openat2", "creat"],
  ["ptrace", "process_vm_readv", "process_vm_writev"],
  ["kexec_load", "kexec_file_load"],
  ["init_module", "finit_module"],
  ["socket", "io_uring_setup"],
  ["kill", "tkill", "tgkill", "pidfd_send_signal"],
  ["add_key", "request_key", "keyctl"],
  ["setuid", "setreuid", "setresuid"],
  ["setgid", "setregid", "setresgid"],
];

function sisters({ path, name }: Listed, filter: CallFilter, seccomp: Seccomp): Finding[] {
  // In a list of what is allowed, the others are blocked.
  if (path[2] !== "block_calls" || filter.kind === "allow") return [];
  const family = families.find((calls) => calls.includes(name)) ?? [];
  const open = family.filter((call) => !blocks(filter, call));
  // The first entry of a family speaks for it.
  const isFirst = seccomp?.block_calls?.find((call) => family.includes(call)) === name;
  if (open.length === 0 || !isFirst) return [];
  return [{ path, at: "value", message: `${show(name)} is blocked, and ${open.join(", ")} can do the same` }];
}
