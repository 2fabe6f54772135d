import type { Config } from "../config/schema.ts";

/** `[auth.seccomp]` as it stands in the file. */
export type SeccompConfig = NonNullable<NonNullable<Config["auth"]>["seccomp"]>;

/** Which system calls the processes of a user may make. */
export interface CallFilter {
  /** `block`: all but those named. `allow`: those named alone. */
  readonly kind: "block" | "allow";
  readonly names: readonly string[];
  /** `setuid` and `setgid` may name the job's user alone, and the other calls of {@link identityCalls} fail. */
  readonly limitSetuid: boolean;
}

/** The calls that `limit_setuid` is about. */
export const identityCalls = {
  /** With the user's number as their only argument they work. */
  ofUser: "setuid",
  ofGroup: "setgid",
  others: ["setreuid", "setregid", "setresuid", "setresgid"],
} as const;

/**
 * The filter that the configuration asks for; undefined when it asks for none.
 *
 * Jacamar CI has the keys without saying how they go together ("block all by default, coupled with an allowable list", its merge request
 * 175). What is blocked by name stays blocked. A list of what is allowed refuses all that it does not name, as every list in `[auth]`
 * does, unless `block_all = false` says that it does not.
 */
export function callFilter(seccomp: SeccompConfig | undefined): CallFilter | undefined {
  if (seccomp === undefined || seccomp.disabled) return undefined;
  const { block_calls: blocked = [], allow_calls: allowed = [], limit_setuid: limitSetuid } = seccomp;
  if (seccomp.block_all ?? allowed.length > 0) {
    return { kind: "allow", names: unique(allowed.filter((name) => !blocked.includes(name))), limitSetuid };
  }
  return blocked.length === 0 && !limitSetuid ? undefined : { kind: "block", names: unique(blocked), limitSetuid };
}

/** Whether a call fails whatever its arguments are. */
export function blocks({ kind, names, limitSetuid }: CallFilter, call: string): boolean {
  const others: readonly string[] = identityCalls.others;
  return (limitSetuid && others.includes(call)) || names.includes(call) === (kind === "block");
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
