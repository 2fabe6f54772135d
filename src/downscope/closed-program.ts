import { statSync } from "node:fs";
import { JacamarError } from "../error/error.ts";

/**
 * Throws `downscope_failed` unless the program's file is closed to all but its owner and group, and has no second name: one
 * that has the capabilities to become any user must be nobody else's to run. A second name (the two programs of a package without
 * capabilities are one file) would have the capabilities, too.
 */
export function requireClosedProgram(path: string): void {
  const { mode, nlink } = statSync(path);
  const open = (mode & 0o001) !== 0 ? `everybody can run "${path}"` : undefined;
  const shared = nlink > 1 ? `"${path}" is also the file of another program` : undefined;
  const why = open ?? shared;
  if (why !== undefined) throw given(why);
}

/**
 * Why the jobs of an account could run the program's file, and so become any user: the account is in its group. Undefined when it is not.
 *
 * @param groups numbers of all groups of the account.
 */
export function whyInsider(path: string, account: string, groups: readonly number[]): string | undefined {
  return groups.includes(statSync(path).gid) ? `"${account}" is in the group that can run "${path}"` : undefined;
}

function given(why: string): JacamarError {
  return new JacamarError("downscope_failed", `The capabilities would be given to others: ${why}`, {
    hint: "docs/administration.md has the owner and mode of jacamar-auth; the package jacamar-ci-caps sets them.",
  });
}
