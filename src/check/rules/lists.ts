import { knownNames } from "../../account/lookup.ts";
import type { Path } from "../../config/inspect.ts";
import { show } from "../../config/problem.ts";
import { JacamarError } from "../../error/error.ts";
import type { CheckSubject, Finding, Rule } from "../rule.ts";

export const contradictingLists: Rule = {
  name: "list-contradiction",
  severity: "warning",
  means: "An entry of a list in `[auth]` can have no effect.",
  why: "A name that is blocked stays blocked whatever else names it, and a login shell is an absolute path.",
  remedy: "Remove the entry, or write what was meant.",
  find: ({ config: { auth } }) => [
    ...both("user_allowlist", auth?.user_allowlist, "user_blocklist", auth?.user_blocklist),
    ...both("groups_allowlist", auth?.groups_allowlist, "groups_blocklist", auth?.groups_blocklist),
    ...entries("shell_allowlist", auth?.shell_allowlist)
      .filter(({ name }) => !name.startsWith("/"))
      .map(
        ({ path, name }): Finding => ({
          path,
          at: "value",
          message: `${show(name)} is no login shell`,
          expected: 'an absolute path, such as "/bin/bash"',
        }),
      ),
    ...entries("user_allowlist", auth?.user_allowlist)
      .filter(({ name }) => name === "root")
      .map(({ path }): Finding => ({ path, at: "value", message: "root never runs jobs, whatever a list says" })),
  ],
};

function both(
  allowName: string,
  allow: readonly string[] | undefined,
  blockName: string,
  block: readonly string[] | undefined,
): Finding[] {
  return entries(allowName, allow)
    .filter(({ name }) => block?.includes(name))
    .map(
      ({ path, name }): Finding => ({
        path,
        at: "value",
        message: `${show(name)} is in ${blockName}, too, which outranks this list`,
      }),
    );
}

export const emptyLists: Rule = {
  name: "empty-list",
  severity: "warning",
  means: "A list of what is allowed is empty.",
  why: "A list that exists refuses all that it does not name, so an empty one refuses everything.",
  remedy: "Leave the key out to allow all, or name what is allowed.",
  find: ({ config: { auth } }) =>
    (["user_allowlist", "groups_allowlist", "shell_allowlist", "pipeline_source_allowlist"] as const)
      .filter((name) => auth?.[name]?.length === 0)
      .map((name): Finding => ({ path: ["auth", name], at: "value", message: "is empty, so that no job runs" })),
};

/** The name service is not asked for longer lists: that takes too long where it is LDAP. */
const mostNames = 200;
const askSeconds = 2;

export const unknownNames: Rule = {
  name: "name-unknown",
  severity: "warning",
  means: "A list in `[auth]` names a user or group that this machine does not know.",
  why: "Names are compared byte for byte, so a mistyped name in a blocklist blocks nobody, and one in an allowlist admits nobody.",
  remedy: "Compare with `getent passwd NAME` or `getent group NAME`.",
  find: async (subject) => {
    const { auth } = subject.config;
    const found = await Promise.all([
      unknown(subject, "passwd", "account", [
        ...entries("user_allowlist", auth?.user_allowlist),
        ...entries("user_blocklist", auth?.user_blocklist),
      ]),
      unknown(subject, "group", "group", [
        ...entries("groups_allowlist", auth?.groups_allowlist),
        ...entries("groups_blocklist", auth?.groups_blocklist),
      ]),
    ]);
    return found.flat();
  },
};

async function unknown(
  { elsewhere }: CheckSubject,
  database: "passwd" | "group",
  what: string,
  listed: readonly Entry[],
): Promise<Finding[]> {
  if (elsewhere || listed.length === 0 || listed.length > mostNames) return [];
  try {
    const known = await knownNames(
      database,
      listed.map(({ name }) => name),
      askSeconds,
    );
    return listed
      .filter(({ name }) => !known.has(name))
      .map(
        ({ path, name }): Finding => ({
          path,
          at: "value",
          message: `there is no ${what} ${show(name)} on this machine`,
        }),
      );
  } catch (error) {
    // A name service that does not answer says nothing about a list.
    if (error instanceof JacamarError) return [];
    throw error;
  }
}

interface Entry {
  readonly path: Path;
  readonly name: string;
}

function entries(key: string, list: readonly string[] | undefined): Entry[] {
  return (list ?? []).map((name, index) => ({ path: ["auth", key, index], name }));
}
