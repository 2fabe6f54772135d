import { JacamarError, systemErrorCode } from "../error/error.ts";
import { capture, type Captured } from "../process/capture.ts";
import { isExecutable } from "../process/program-path.ts";
import type { Account } from "./account.ts";

/** An account's entry, as the system's name service has it. */
export interface SystemAccount extends Account {
  readonly gecos: string;
}

/** A group that an account is in. The name is undefined for a number that the name service has no name for. */
export interface Group {
  readonly gid: number;
  readonly name: string | undefined;
}

/** What the system says to a name. `other_name`: it has an account for it, but that is somebody else's, or also is. */
export type AccountAnswer =
  | { readonly found: true; readonly account: SystemAccount }
  | { readonly found: false; readonly why: "unknown" | "other_name"; readonly detail: string };

/** The longest that the name service may take for one question, in seconds. */
const patienceSeconds = 10;
/** The largest answer that is believed to be whole; `capture()` cuts at 16 MiB. A group's line names all its members. */
const answerLimit = 8 * 1024 * 1024;
/** Linux: the number that stands for "no change" in chown(2) and setreuid(2). */
const noNumber = 0xffff_ffff;

const programs = ["/usr/bin/getent", "/bin/getent"];

/**
 * Asks the name service (nsswitch.conf: files, LDAP, SSSD, …) for an account.
 *
 * The name that comes back must be the one that was asked for, byte for byte: SSSD and Winbind also find `ALICE` and
 * `alice@realm`. Its number must lead back to the same name: a second name for a number is another person's account.
 *
 * @param name is refused as unknown when it could be an option, a number or more than one field.
 * @param timeoutSeconds for each question.
 * Throws `account_unknown` when the name service does not answer in time, or answers what is no entry.
 */
export async function lookUpAccount(name: string, timeoutSeconds = patienceSeconds): Promise<AccountAnswer> {
  if (!isKey(name)) return { found: false, why: "unknown", detail: "the name cannot be one of the name service" };
  const account = await passwordEntry(name, timeoutSeconds);
  if (account === undefined) return { found: false, why: "unknown", detail: "the name service does not know the name" };
  if (account.name !== name) {
    return { found: false, why: "other_name", detail: "the name service answers with another name" };
  }
  const byNumber = await passwordEntry(String(account.uid), timeoutSeconds);
  if (byNumber?.name !== name) {
    return {
      found: false,
      why: "other_name",
      detail: `the name service has ${byNumber ? "another name" : "no name"} for the number ${account.uid} of the account`,
    };
  }
  return { found: true, account };
}

/** The account of a number, where {@link lookUpAccount} finds that account by its name, too; undefined for any other. Throws as that. */
export async function accountNumbered(
  uid: number,
  timeoutSeconds = patienceSeconds,
): Promise<SystemAccount | undefined> {
  if (!Number.isInteger(uid) || uid < 0 || uid >= noNumber) return undefined;
  const entry = await passwordEntry(String(uid), timeoutSeconds);
  const answer = entry && (await lookUpAccount(entry.name, timeoutSeconds));
  return answer?.found === true && answer.account.uid === uid ? answer.account : undefined;
}

/**
 * All groups of an account, its own first: what initgroups(3) will give to its processes, asked in the same way
 * (`getent initgroups`, so memberships that only LDAP's or SSSD's initgroups call knows count, too).
 * Throws `account_unknown` as {@link lookUpAccount}.
 */
export async function groupsOf(
  account: Pick<Account, "name" | "gid">,
  timeoutSeconds = patienceSeconds,
): Promise<readonly Group[]> {
  if (!isKey(account.name)) throw failed("initgroups", "the name cannot be one of the name service");
  const { stdout } = await ask("initgroups", [account.name], timeoutSeconds);
  // The name is padded with spaces, and is none: it cannot hold one.
  const match = /^(\S+)[ \t]*((?:[ \t]\d+)*)[ \t]*\n$/.exec(stdout);
  if (match?.[1] !== account.name) throw failed("initgroups", "the answer is not a list of groups");
  const others = (match[2] ?? "").split(/[ \t]+/).filter((text) => text !== "");
  const gids = [...new Set([account.gid, ...others.map((text) => toId(text, "initgroups"))])];
  const names = await groupNames(gids, timeoutSeconds);
  return gids.map((gid) => ({ gid, name: names.get(gid) }));
}

/**
 * Which of the names the name service knows, in one question.
 * Throws `account_unknown` when the name service does not answer in time, or answers what is no entry.
 */
export async function knownNames(
  database: "passwd" | "group",
  names: readonly string[],
  timeoutSeconds = patienceSeconds,
): Promise<ReadonlySet<string>> {
  const keys = names.filter(isKey);
  if (keys.length === 0) return new Set();
  const { stdout } = await ask(database, keys, timeoutSeconds);
  return new Set(stdout.split("\n").map((line) => line.slice(0, Math.max(0, line.indexOf(":")))));
}

async function passwordEntry(key: string, timeoutSeconds: number): Promise<SystemAccount | undefined> {
  const { stdout, missing } = await ask("passwd", [key], timeoutSeconds);
  if (missing) return undefined;
  const [line, rest] = stdout.split("\n");
  const fields = line?.split(":") ?? [];
  const [name, , uid, gid, gecos, home, shell] = fields;
  if (rest !== "" || fields.length !== 7 || name === undefined || name === "") {
    throw failed("passwd", "the answer is not one entry");
  }
  // What was no UTF-8 came as U+FFFD: such a path would lead elsewhere.
  if (`${name}${home}${shell}`.includes("\u{fffd}")) throw failed("passwd", "the entry is not valid text");
  return {
    name,
    uid: toId(uid, "passwd"),
    gid: toId(gid, "passwd"),
    gecos: gecos ?? "",
    home: home ?? "",
    shell: shell === undefined || shell === "" ? "/bin/sh" : shell,
  };
}

/** One question for all; a name may hold spaces, but no colon. Numbers without a name are left out. */
async function groupNames(gids: readonly number[], timeoutSeconds: number): Promise<ReadonlyMap<number, string>> {
  const { stdout } = await ask("group", gids.map(String), timeoutSeconds);
  const names = new Map<number, string>();
  for (const line of stdout.split("\n").slice(0, -1)) {
    const fields = line.split(":");
    const [name, , gid] = fields;
    if (fields.length < 4 || name === undefined || name === "")
      throw failed("group", "the answer is not a list of groups");
    const id = toId(gid, "group");
    if (!gids.includes(id)) throw failed("group", "the answer names a group that was not asked for");
    names.set(id, name);
  }
  return names;
}

async function ask(
  database: "passwd" | "group" | "initgroups",
  keys: readonly string[],
  timeoutSeconds: number,
): Promise<{ stdout: string; missing: boolean }> {
  let answer: Captured;
  try {
    answer = await capture(
      {
        argv: [getent(), database, "--", ...keys],
        environment: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" },
        workingDirectory: "/",
      },
      { timeoutSeconds },
    );
  } catch (cause) {
    if (cause instanceof JacamarError) throw cause;
    throw failed(database, `getent cannot be started: ${systemErrorCode(cause) ?? "unknown error"}`, cause);
  }
  if ("signal" in answer.ending) throw failed(database, `getent was ended by ${answer.ending.signal}`);
  const { exitCode } = answer.ending;
  // getent(1): 2 says that a key was not found.
  if (exitCode !== 0 && exitCode !== 2) throw failed(database, `getent ended with ${exitCode}`);
  if (answer.stdout.length > answerLimit) throw failed(database, "the answer is too long");
  if (answer.stdout !== "" && !answer.stdout.endsWith("\n")) throw failed(database, "the answer was cut off");
  if (database === "passwd" && keys.length === 1 && exitCode === 2 && answer.stdout !== "")
    throw failed(database, "the answer is no entry");
  return { stdout: answer.stdout, missing: exitCode === 2 };
}

function getent(): string {
  const path = programs.find(isExecutable);
  if (path !== undefined) return path;
  throw failed("passwd", `there is no ${programs.join(" or ")}`);
}

/** Whether a text is one key for getent: no option, no number, and nothing that another field could hide behind. */
function isKey(name: string): boolean {
  return /^[^\s:/\p{C}-][^\s:/\p{C}]{0,255}$/u.test(name) && !/^[0-9+]/.test(name) && name !== "." && name !== "..";
}

function toId(text: string | undefined, database: string): number {
  if (text === undefined || !/^(?:0|[1-9][0-9]{0,9})$/.test(text)) throw failed(database, "a number is none");
  const id = Number(text);
  if (id >= noNumber) throw failed(database, `the number ${id} cannot be an account's or group's`);
  return id;
}

function failed(database: string, why: string, cause?: unknown): JacamarError {
  return new JacamarError("account_unknown", `The system's name service failed (getent ${database}): ${why}`, {
    hint: "Check the name service: getent passwd; systemctl status sssd",
    cause,
  });
}
