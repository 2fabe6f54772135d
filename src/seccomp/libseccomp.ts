import { existsSync } from "node:fs";
import { endianness } from "node:os";
import { JacamarError } from "../error/error.ts";

/** The library, as far as it is used here: seccomp_init(3) and the pages that it names. */
export interface Libseccomp {
  /** The number of a call on this machine; `elsewhere` for a call of other architectures alone; undefined for no call. */
  numberOf(name: string): number | "elsewhere" | undefined;
  /** A new filter with this answer for all calls that have no rule. */
  newFilter(otherwise: Action): Filter;
}

/** A filter that is being made. Every method throws `downscope_failed` when the library refuses. */
export interface Filter {
  /** What becomes of a call, with any arguments or with some. The action must not be that of the whole filter. */
  add(action: Action, call: number, when?: FirstArgument): void;
  /**
   * Loads it into all threads of this process, for good.
   *
   * @param noNewPrivs without it the kernel asks for CAP_SYS_ADMIN; with it no program gains rights from its file any more.
   */
  load(noNewPrivs: boolean): void;
}

/** All 64 bits are compared, though the number of a user has 32. */
export interface FirstArgument {
  readonly is: "equal" | "not equal";
  readonly to: number;
}

/** SCMP_ACT_ALLOW and SCMP_ACT_ERRNO(…) of seccomp.h; EPERM and ENOSYS are the same on every architecture that Node.js runs on. */
export const action = { allow: 0x7fff0000, notPermitted: 0x00050000 | 1, notImplemented: 0x00050000 | 38 } as const;
export type Action = (typeof action)[keyof typeof action];

/** `enum scmp_filter_attr` and `enum scmp_compare` of seccomp.h. */
const attribute = { noNewPrivs: 3, allThreads: 4, systemsOwnError: 9 } as const;
const compare = { "not equal": 1, equal: 4 } as const;

/** What seccomp_syscall_resolve_name(3) says of a word that is no call. Other negative numbers are calls of other architectures. */
const noCall = -1;

/**
 * Opens the system's libseccomp, which is where crun, runc or systemd is. Throws `downscope_failed` where it is not, or where this
 * Node.js cannot call it.
 */
export async function openLibseccomp(): Promise<Libseccomp> {
  const { dlopen } = await readFfi();
  const path = places().find((place) => existsSync(place));
  if (path === undefined) {
    throw unusable(
      `there is no libseccomp.so.2 in ${places().join(", ")}`,
      "Install libseccomp (Debian: libseccomp2).",
    );
  }
  try {
    return bind(dlopen(path, signatures).functions);
  } catch (cause) {
    throw unusable(`"${path}" cannot be used`, "It must be version 2.2 or newer.", cause);
  }
}

/** Node's names of architectures, and Debian's where they differ. */
const debianNames: ReadonlyMap<string, string> = new Map([
  ["x64", "x86_64"],
  ["arm64", "aarch64"],
  ["ppc64", "powerpc64le"],
]);

/** Of the system alone: no variable of an environment leads to another file. */
function places(): string[] {
  const machine = debianNames.get(process.arch) ?? process.arch;
  return [`/usr/lib/${machine}-linux-gnu`, "/usr/lib64", "/lib64", "/usr/lib", "/lib"].map(
    (directory) => `${directory}/libseccomp.so.2`,
  );
}

async function readFfi(): Promise<typeof import("node:ffi")> {
  try {
    return await import("node:ffi");
  } catch (cause) {
    const hint = "Use the packaged executable, or Node.js 26.1 or newer.";
    throw unusable(`Node.js ${process.versions.node} has no node:ffi, by which libseccomp is called`, hint, cause);
  }
}

const signatures = {
  seccomp_init: { arguments: ["uint32"], return: "pointer" },
  seccomp_attr_set: { arguments: ["pointer", "int32", "uint32"], return: "int32" },
  seccomp_rule_add_array: { arguments: ["pointer", "uint32", "int32", "uint32", "pointer"], return: "int32" },
  seccomp_load: { arguments: ["pointer"], return: "int32" },
  seccomp_syscall_resolve_name: { arguments: ["string"], return: "int32" },
} as const;

type Functions = ReturnType<typeof import("node:ffi").dlopen<typeof signatures>>["functions"];

function bind(library: Functions): Libseccomp {
  return {
    numberOf(name) {
      const number = library.seccomp_syscall_resolve_name(name);
      return number === noCall ? undefined : number < 0 ? "elsewhere" : number;
    },
    newFilter(otherwise) {
      const filter = library.seccomp_init(otherwise);
      if (filter === 0n) throw unusable("libseccomp makes no filter");
      return {
        add(what, call, when) {
          const comparisons = when === undefined ? null : asComparison(when);
          const result = library.seccomp_rule_add_array(filter, what, call, when === undefined ? 0 : 1, comparisons);
          if (result !== 0) throw unusable(`libseccomp takes no rule for call ${call} (error ${-result})`);
        },
        load(noNewPrivs) {
          // The kernel's own reason of a refusal; older libraries do not tell it.
          library.seccomp_attr_set(filter, attribute.systemsOwnError, 1);
          for (const [what, value] of [
            [attribute.noNewPrivs, noNewPrivs ? 1 : 0],
            [attribute.allThreads, 1],
          ] as const) {
            const result = library.seccomp_attr_set(filter, what, value);
            if (result !== 0)
              throw unusable(`libseccomp or the kernel is too old (attribute ${what}, error ${-result})`);
          }
          const result = library.seccomp_load(filter);
          if (result !== 0) throw unusable(`the kernel refused it (error ${-result})`, whoMayLoad);
        },
      };
    },
  };
}

/** `struct scmp_arg_cmp`: which argument (the first), how it is compared, and with what. */
function asComparison({ is, to }: FirstArgument): Buffer {
  const comparison = Buffer.alloc(24);
  const view = new DataView(comparison.buffer, comparison.byteOffset);
  const littleEndian = endianness() === "LE";
  view.setUint32(4, compare[is], littleEndian);
  view.setBigUint64(8, BigInt(to), littleEndian);
  return comparison;
}

const whoMayLoad =
  "It takes CAP_SYS_ADMIN, which root has unless a container or the unit of GitLab Runner takes it away; or no_new_privs = true.";

function unusable(why: string, hint?: string, cause?: unknown): JacamarError {
  return new JacamarError("downscope_failed", `The filter on system calls cannot be set up: ${why}`, {
    hint: hint ?? "[auth.seccomp] asks for it: docs/administration.md says what it needs.",
    cause,
  });
}
