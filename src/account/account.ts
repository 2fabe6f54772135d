import { type UserInfo, userInfo } from "node:os";
import { JacamarError } from "../error/error.ts";

/** The account whose files and processes a job's are. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/**
 * The account that runs this process, as the system's name service knows it (not as `HOME` or `USER` say).
 * Throws `account_unknown` when there is no entry, or its home is not an absolute path.
 */
export function currentAccount(): Account {
  let entry: UserInfo<string>;
  try {
    entry = userInfo({ encoding: "utf8" });
  } catch (cause) {
    throw new JacamarError(
      "account_unknown",
      `The system does not know the account with the number ${process.geteuid?.()}`,
      {
        hint: "Check the name service: getent passwd",
        cause,
      },
    );
  }
  if (!entry.homedir.startsWith("/")) {
    throw new JacamarError("account_unknown", `The account "${entry.username}" has no home directory in its entry`);
  }
  return { name: entry.username, uid: entry.uid, gid: entry.gid, home: entry.homedir, shell: entry.shell ?? "/bin/sh" };
}
