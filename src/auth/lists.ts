import type { Config } from "../config/schema.ts";
import { quoted } from "./reasons.ts";

export type AuthConfig = NonNullable<Config["auth"]>;

/** The lists of `[auth]`. Undefined: the list does not exist. An empty list exists, and names nobody. */
export type Lists = Pick<
  AuthConfig,
  "user_allowlist" | "user_blocklist" | "groups_allowlist" | "groups_blocklist" | "shell_allowlist"
>;

/** Who is looked for in the lists. */
export interface Listed {
  readonly name: string;
  /** Names of all groups, the account's own among them. */
  readonly groups: readonly string[];
  /** Numbers of further groups, for which the name service has no name now: any list may mean them. */
  readonly namelessGroups: readonly number[];
  /** Undefined for a login that is no account of the system: no shell_allowlist can name it. */
  readonly shell: string | undefined;
}

export interface ListVerdict {
  readonly allowed: boolean;
  /** It is not known whether a list refuses: the name service has not told enough. */
  readonly unsure?: true;
  readonly detail: string;
}

/**
 * Whether the lists of users and groups let somebody run jobs. The first line that fits decides
 * (docs/authorization.md has the same as a table, from which this is tested):
 * a user entry outranks a group entry, block outranks allow, and an allowlist that exists refuses all that it does not name.
 * Names are compared byte for byte. Where groups are blocked, a group without a name may be one of them.
 */
export function applyLists({ name, groups, namelessGroups }: Listed, lists: Lists): ListVerdict {
  const { user_allowlist: users, user_blocklist: blockedUsers } = lists;
  const { groups_allowlist: allowedGroups, groups_blocklist: blockedGroups } = lists;
  const who = quoted(name);
  if (blockedUsers?.includes(name)) return refuse(`user_blocklist names ${who}`);
  if (users?.includes(name)) return allow(`user_allowlist names ${who}`);
  if (users) return refuse(`user_allowlist does not name ${who}`);
  const blocked = groups.find((group) => blockedGroups?.includes(group));
  if (blocked !== undefined) return refuse(`groups_blocklist names the group ${quoted(blocked)} of ${who}`);
  const [nameless] = namelessGroups;
  if (nameless !== undefined && blockedGroups !== undefined && blockedGroups.length > 0) {
    const detail = `the name service has no name for the group ${nameless} of ${who}, which groups_blocklist may mean`;
    return { allowed: false, unsure: true, detail };
  }
  const allowed = groups.find((group) => allowedGroups?.includes(group));
  if (allowed !== undefined) return allow(`groups_allowlist names the group ${quoted(allowed)} of ${who}`);
  if (allowedGroups) return refuse(`groups_allowlist names no group of ${who}`);
  return allow(`no list names ${who}`);
}

/** Whether `shell_allowlist` lets an account run jobs. It comes on top of the other lists, and outranks none of them. */
export function applyShellList({ shell }: Listed, { shell_allowlist: shells }: Lists): ListVerdict {
  if (!shells) return allow("no shell_allowlist");
  if (shell === undefined) return refuse("shell_allowlist exists, and there is no account that has a shell");
  const shown = quoted(shell);
  return shells.includes(shell)
    ? allow(`shell_allowlist names ${shown}`)
    : refuse(`shell_allowlist does not name ${shown}`);
}

function allow(detail: string): ListVerdict {
  return { allowed: true, detail };
}

function refuse(detail: string): ListVerdict {
  return { allowed: false, detail };
}
