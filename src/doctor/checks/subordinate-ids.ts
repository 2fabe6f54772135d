import { readFileSync } from "node:fs";
import type { Account } from "../../account/account.ts";
import { systemErrorCode } from "../../error/error.ts";
import { capture } from "../../process/capture.ts";
import { asRoot, defineCheck, type Finding, outcomeOf, type Remedy, type Report, skipped } from "../check.ts";

/** A range of subordinate ids, and whose it is: a name, or a number. */
export interface IdRange {
  readonly owner: string;
  readonly start: number;
  readonly count: number;
}

/** The ranges of users and of groups. */
export interface IdRanges {
  readonly uid: readonly IdRange[];
  readonly gid: readonly IdRange[];
}

/** What images are made for: the ids of an ordinary system. */
const usualCount = 65_536;
/** Where useradd(8) begins to give ranges out (`SUB_UID_MIN` of login.defs(5)). */
const leastStart = 100_000;

type Name = "subordinate-ids-missing" | "subordinate-ids-few" | "subordinate-ids-shared" | "subordinate-ids-real";

export const subordinateIds = defineCheck<Name>({
  name: "subordinate-ids",
  looksAt: "`/etc/subuid` and `/etc/subgid`, or what `getsubids` says where another service gives the ids out.",
  network: false,
  ofMachine: false,
  explains: ["podman_failed", "image_pull_failed", "image_archive_failed"],
  entries: {
    "subordinate-ids-missing": {
      level: "wrong",
      means: "The account has no range of subordinate user ids or group ids.",
      why: "A rootless container needs more users than one. Without a range it has only root, and an image with files of any other user cannot be unpacked (`potentially insufficient UIDs or GIDs available`). useradd gives ranges to new local accounts, and nobody gives them to accounts of LDAP.",
      todo: "Give the account a range that nobody else has. Then, as the user, `podman system migrate`.",
    },
    "subordinate-ids-few": {
      level: "warning",
      means: "The account has fewer than 65536 subordinate ids of a kind.",
      why: "An image with files of a user whose number is higher cannot be unpacked.",
      todo: "Give the account 65536, in one range or in several.",
    },
    "subordinate-ids-shared": {
      level: "wrong",
      means: "A range of the account overlaps with one of another account.",
      why: "The files and processes of the one's containers belong to the other's, too: each can read and end what is the other's.",
      todo: "Give one of the two another range. usermod takes a range away only while nothing runs as the user: `podman system migrate` ends Podman's own process. The files in its image store have to be made anew: `podman system reset` as that user.",
    },
    "subordinate-ids-real": {
      level: "wrong",
      means: "A range of the account holds the number of a real account.",
      why: "In a container of its own the account can become that account, and read and change its files.",
      todo: "Give the account another range, above all numbers of accounts; 100000 and more are usual. usermod takes a range away only while nothing runs as the user.",
    },
  },
  async look({ account, usesPodman }, report) {
    if (!usesPodman) return skipped("no job runs in a container");
    const files: IdRanges = { uid: readRanges("/etc/subuid"), gid: readRanges("/etc/subgid") };
    const service = subidService(readText("/etc/nsswitch.conf"));
    const ranges = service === undefined ? files : { uid: await ask(account, "uid"), gid: await ask(account, "gid") };
    const accounts = parseNumbers(readText("/etc/passwd"));
    const findings = judgeRanges(account, ranges, accounts, report);
    const own = (kind: "uid" | "gid") => total(ownRanges(ranges[kind], account));
    return outcomeOf(findings, `${own("uid")} for users, ${own("gid")} for groups`);
  },
});

/** What is wrong with the ranges of an account. */
export function judgeRanges(
  account: Pick<Account, "name" | "uid">,
  ranges: IdRanges,
  accountNumbers: readonly number[],
  report: Report<Name>,
): Finding[] {
  const { name } = account;
  const own = { uid: ownRanges(ranges.uid, account), gid: ownRanges(ranges.gid, account) };
  const counts = { uid: total(own.uid), gid: total(own.gid) };
  const next = nextFree(ranges);
  const give = asRoot(`usermod --add-subuids ${next} --add-subgids ${next} ${name}`);
  if (counts.uid === 0 || counts.gid === 0) {
    const file = counts.uid === 0 ? "/etc/subuid" : "/etc/subgid";
    const which =
      counts.uid === counts.gid
        ? "subordinate ids"
        : counts.uid === 0
          ? "subordinate user ids"
          : "subordinate group ids";
    const text = `rootless Podman has no ${which} for ${name}`;
    return [report("subordinate-ids-missing", text, `ask the administrator for a line in ${file}`, give)];
  }
  const findings: Finding[] = [];
  const least = Math.min(counts.uid, counts.gid);
  if (least < usualCount) {
    const text = `${name} has only ${least} subordinate ids, and images are made for ${usualCount}`;
    findings.push(
      report("subordinate-ids-few", text, "ask the administrator for more in /etc/subuid and /etc/subgid", give),
    );
  }
  const shared = { uid: sharedRanges(ranges.uid, own.uid), gid: sharedRanges(ranges.gid, own.gid) };
  const other = [...shared.uid, ...shared.gid][0]?.other;
  if (other !== undefined) {
    const text = `${name} and ${other.owner} share subordinate ids, and with them the files of their containers`;
    const instead = exchange(name, { uid: mine(shared.uid), gid: mine(shared.gid) }, next);
    findings.push(report("subordinate-ids-shared", text, `ask the administrator for ranges of your own`, instead));
  }
  const real = accountNumbers.find((number) => number !== 0 && own.uid.some((range) => holds(range, number)));
  if (real !== undefined) {
    const text = `the subordinate ids of ${name} hold ${real}, which is the number of an account`;
    const bad = own.uid.filter((range) => accountNumbers.some((number) => number !== 0 && holds(range, number)));
    const instead = exchange(name, { uid: bad, gid: [] }, next);
    findings.push(report("subordinate-ids-real", text, "ask the administrator for another range", instead));
  }
  return findings;
}

function ownRanges(ranges: readonly IdRange[], { name, uid }: Pick<Account, "name" | "uid">): IdRange[] {
  return ranges.filter(({ owner }) => owner === name || owner === String(uid));
}

function total(ranges: readonly IdRange[]): number {
  return ranges.reduce((sum, { count }) => sum + count, 0);
}

/** Ranges of the account that overlap with another account's. */
function sharedRanges(all: readonly IdRange[], own: readonly IdRange[]): { mine: IdRange; other: IdRange }[] {
  return own.flatMap((range) => {
    const other = all.find((one) => !own.includes(one) && overlap(range, one));
    return other === undefined ? [] : [{ mine: range, other }];
  });
}

function mine(shared: readonly { readonly mine: IdRange }[]): IdRange[] {
  return shared.map((one) => one.mine);
}

/** Takes ranges away and gives another one: with the old ones still there, nothing would be mended. */
function exchange(name: string, bad: IdRanges, next: string): Remedy {
  const options = (["uid", "gid"] as const).flatMap((kind) =>
    bad[kind].length === 0
      ? []
      : [
          ...bad[kind].map(({ start, count }) => `--del-sub${kind}s ${start}-${start + count - 1}`),
          `--add-sub${kind}s ${next}`,
        ],
  );
  return asRoot(`usermod ${options.join(" ")} ${name}`);
}

function overlap(a: IdRange, b: IdRange): boolean {
  return a.start < b.start + b.count && b.start < a.start + a.count;
}

function holds({ start, count }: IdRange, id: number): boolean {
  return id >= start && id < start + count;
}

/** A range above all that are given out, as usermod(8) takes it. */
function nextFree({ uid, gid }: IdRanges): string {
  const top = [...uid, ...gid].reduce((highest, { start, count }) => Math.max(highest, start + count), leastStart);
  return `${top}-${top + usualCount - 1}`;
}

/** The lines `owner:start:count`; what is none is left out, as newuidmap(1) does. */
export function parseRanges(text: string): IdRange[] {
  return text.split("\n").flatMap((line): IdRange[] => {
    const parts = /^([^:#]+):(\d{1,10}):(\d{1,10})$/.exec(line.trim());
    return parts === null ? [] : [{ owner: parts[1] ?? "", start: Number(parts[2]), count: Number(parts[3]) }];
  });
}

/** The service that gives the ids out in place of the files (nsswitch.conf(5), `subid`). */
export function subidService(nsswitch: string): string | undefined {
  const service = /^\s*subid:\s*(\w+)/m.exec(nsswitch)?.[1];
  return service === "files" ? undefined : service;
}

/** getsubids(1): `0: alice 100000 65536` for each range. */
async function ask(account: Account, kind: "uid" | "gid"): Promise<IdRange[]> {
  const argv: [string, ...string[]] = ["getsubids", ...(kind === "gid" ? ["-g"] : []), account.name];
  try {
    const { stdout } = await capture(
      { argv, environment: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C" }, workingDirectory: "/" },
      { timeoutSeconds: 3 },
    );
    return [...stdout.matchAll(/^\d+: (\S+) (\d+) (\d+)$/gm)].map(([, owner = "", start, count]) => ({
      owner,
      start: Number(start),
      count: Number(count),
    }));
  } catch (error) {
    // Without the program nobody can say; the files are as good a guess as any.
    if (systemErrorCode(error) === undefined) throw error;
    return readRanges(kind === "uid" ? "/etc/subuid" : "/etc/subgid");
  }
}

function readRanges(path: string): IdRange[] {
  return parseRanges(readText(path));
}

function parseNumbers(passwd: string): number[] {
  return [...passwd.matchAll(/^[^:#\n]+:[^:\n]*:(\d+):/gm)].map(([, uid]) => Number(uid));
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
