import { blocks, type CallFilter } from "./filter.ts";

// Seen by blocking each call that a job makes and running the job, on x86_64 with Debian 12. Calls that one version of the C library makes and
// another does not are not here: a list of allowed calls may do without them.

/** Calls without which no job runs, whatever it does. */
const neededByEveryJob: readonly string[] = [
  "brk",
  "chdir",
  "clone",
  "close",
  "epoll_pwait",
  "execve",
  "exit",
  "exit_group",
  "fcntl",
  "futex",
  "getdents64",
  "geteuid",
  "getpid",
  "ioctl",
  "lseek",
  "mmap",
  "mprotect",
  "munmap",
  "openat",
  "pipe2",
  "read",
  "rt_sigaction",
  "rt_sigprocmask",
  "rt_sigreturn",
  "socketpair",
  "tgkill",
  "unlinkat",
  "wait4",
  "write",
  // Jobs would run without these, and could not be ended, or leave their files open to others.
  "kill",
  "setsid",
  "umask",
];

/** The same, of an architecture whose C library makes calls that newer ones do not have. */
const neededByArchitecture: Readonly<Partial<Record<NodeJS.Architecture, readonly string[]>>> = {
  x64: ["access", "arch_prctl", "dup2", "mkdir", "rmdir", "unlink"],
};

/** Calls by which root becomes the user, where the filter is in force by then. */
const neededByTheDoor: readonly string[] = ["setgroups", "setgid", "setuid"];

/** Calls without which rootless Podman starts no container, whatever its options and its runtime are. Seen with Podman 4.3 and runc. */
const neededByContainers: readonly string[] = [
  "capset",
  "mount",
  "prctl",
  "setns",
  "setresgid",
  "setresuid",
  "umount2",
  "unshare",
];

/**
 * What a filter takes away that every job needs.
 *
 * @param noNewPrivs the filter is loaded when the process is the user's already.
 */
export function callsThatJobsMiss(filter: CallFilter, noNewPrivs: boolean): string[] {
  const ofJobs = [...neededByEveryJob, ...(neededByArchitecture[process.arch] ?? [])];
  const needed = noNewPrivs ? ofJobs : [...ofJobs, ...neededByTheDoor];
  return needed.filter((call) => blocks(filter, call));
}

/** What a filter takes away that a job in a container needs. */
export function callsThatContainersMiss(filter: CallFilter): string[] {
  return neededByContainers.filter((call) => blocks(filter, call));
}
