import { closeSync, readdirSync, readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import { JacamarError } from "../error/error.ts";
import type { ReadyFilter } from "../seccomp/prepare.ts";

/** Whose a process becomes. The name service has been asked, and the decision is made. */
export interface Target {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * The one-way door: this process, with all its threads, becomes the target for good, with all of the target's groups.
 *
 * Needs root, or the capabilities `cap_setuid` and `cap_setgid`. With the capabilities alone it becomes root for the
 * length of three calls: going from root to another user is what makes the kernel clear them (capabilities(7), "Effect of
 * user ID changes on capabilities"); from a service account they would survive.
 *
 * Afterwards it is proven that there is no way back: ids, groups and capabilities of every thread, and the attempt.
 * Throws `downscope_failed`; the caller must then end without doing anything else. The process may be in any state.
 *
 * @param filter what the user's processes may not do. Loading it takes CAP_SYS_ADMIN, so it comes before the rights go, unless no program
 *   is to gain rights any more.
 */
export function becomeUser(target: Target, filter: ReadyFilter | undefined): void {
  // Node has it, but its type declarations do not.
  const initgroups: unknown = Reflect.get(process, "initgroups");
  if (typeof initgroups !== "function") throw new Error("a system without user ids");
  if (target.uid === 0 || target.gid === 0) throw failed("the target is root");
  closeInherited();
  if (filter?.noNewPrivs === false) filter.load();
  try {
    if (process.geteuid?.() !== 0) process.setuid?.(0);
    initgroups.call(process, target.name, target.gid);
    process.setgid?.(target.gid);
    process.setuid?.(target.uid);
  } catch (cause) {
    throw failed(`the system refused: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  if (filter?.noNewPrivs === true) filter.load();
  proveNoWayBack(target);
  proveClosedToUser(target);
  // The runner's directory is closed to the user. Where the job works is decided by whoever starts something for it.
  process.chdir("/");
  process.umask(0o077);
}

/** Bits of a set of capabilities (linux/capability.h). */
const neededCapabilities = { cap_setgid: 6n, cap_setuid: 7n } as const;

/** Throws `downscope_failed` where a service account's program has not the capabilities of its file. */
export function requireCapabilities(): void {
  const permitted = BigInt(`0x${threadStatuses()[0]?.get("CapPrm") ?? "0"}`);
  for (const [name, bit] of Object.entries(neededCapabilities)) {
    if ((permitted & (1n << bit)) === 0n) throw failed(`jacamar-auth is not root and has no ${name}`);
  }
}

/** Gives up the capabilities of a service account for good, keeping the account. Throws `downscope_failed`. */
export function dropCapabilities(): void {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  if (uid === undefined || gid === undefined || uid === 0) throw new Error("only a service account has them to drop");
  try {
    process.setuid?.(0);
    process.setuid?.(uid);
  } catch (cause) {
    throw failed("the capabilities could not be given up", cause);
  }
  proveNoWayBack({ uid, gid });
}

/** Throws `downscope_failed` unless each thread is the target, without any capability, and cannot become anybody else. */
function proveNoWayBack(target: { readonly uid: number; readonly gid: number }): void {
  const uids = Array(4).fill(String(target.uid)).join("\t");
  const gids = Array(4).fill(String(target.gid)).join("\t");
  const statuses = threadStatuses();
  if (statuses.length === 0) throw failed("the process's own state cannot be read");
  const groups = statuses[0]?.get("Groups");
  for (const status of statuses) {
    if (status.get("Uid") !== uids || status.get("Gid") !== gids || status.get("Groups") !== groups) {
      throw failed("a thread has kept its ids");
    }
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) {
      if (!/^0+$/.test(status.get(set) ?? "")) throw failed(`a thread has kept capabilities (${set})`);
    }
  }
  const attempts: (() => void)[] = [
    () => process.setuid?.(0),
    () => process.seteuid?.(0),
    () => process.setgid?.(0),
    () => process.setegid?.(0),
    () => process.setgroups?.([0]),
  ];
  for (const attempt of attempts) {
    if (succeeds(attempt)) throw failed("there is a way back to root");
  }
}

/**
 * Throws `downscope_failed` when the user could look into this process, which still holds the runner's environment:
 *
 * - the kernel gives the files of /proc/self to root while the process is not "dumpable" (proc(5)), which changing its ids
 *   makes it, unless fs.suid_dumpable is 1;
 * - Node opens its debugger to everybody on this machine when it gets SIGUSR1, and a user may signal a process of theirs.
 *   The launcher turns that off (`--disable-sigusr1`).
 */
function proveClosedToUser(target: { readonly uid: number }): void {
  if (statSync("/proc/self/mem").uid === target.uid) {
    throw failed("the user could read the memory of this process (is fs.suid_dumpable 1?)");
  }
  const caught = threadStatuses().map((status) => BigInt(`0x${status.get("SigCgt") ?? "f".repeat(16)}`));
  const debug = 1n << BigInt(constants.signals.SIGUSR1 - 1);
  if (caught.some((signals) => (signals & debug) !== 0n)) {
    throw failed("the user could open Node's debugger in this process (was it started without --disable-sigusr1?)");
  }
}

function succeeds(attempt: () => void): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}

/** The fields of /proc/self/task/TID/status of every thread (proc(5)). */
function threadStatuses(): Map<string, string>[] {
  return readdirSync("/proc/self/task").map((thread) => {
    const lines = readFileSync(`/proc/self/task/${thread}/status`, "utf8").split("\n");
    return new Map(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }),
    );
  });
}

/**
 * Closes what the caller left open: any descriptor above the standard ones that programs started later would inherit.
 * Node marks its own, and all that it opens, as not to be inherited (`O_CLOEXEC`).
 */
export function closeInherited(): void {
  for (const name of readdirSync("/proc/self/fd")) {
    const descriptor = Number(name);
    if (descriptor <= 2 || isCloseOnExec(descriptor)) continue;
    try {
      closeSync(descriptor);
    } catch {
      // The directory's own descriptor, which is closed by now.
    }
  }
}

function isCloseOnExec(descriptor: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))?.[1] ?? "0";
    return (Number.parseInt(flags, 8) & 0o2000000) !== 0;
  } catch {
    return true;
  }
}

function failed(why: string, cause?: unknown): JacamarError {
  return new JacamarError("downscope_failed", `The rights of the runner cannot be given up: ${why}`, {
    hint: "Check downscope in [auth], and the owner, mode and capabilities of jacamar-auth.",
    cause,
  });
}
