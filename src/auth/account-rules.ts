import type { AccountAnswer, SystemAccount } from "../account/lookup.ts";
import type { AuthConfig } from "./lists.ts";
import type { AccountName } from "./name.ts";
import { quoted } from "./reasons.ts";
import { ask, Refusal } from "./refusal.ts";

/** Linux: what user ids that cannot be shown become (overflowuid), and `nobody`; the same in 16 bits. */
const nobodies = [65534, 65535];
const noNumber = 0xffff_ffff;
/**
 * Numbers above UID_MIN that services get beside people: Debian's (Policy, 9.2.2: 60000 to 64999) and systemd's for
 * `DynamicUser=` (61184 to 65519), whose names are those of services. No service has a shell.
 */
const services = { from: 60_000, to: 65_533 } as const;

/**
 * Asks the system for an account, and takes nothing but an entry of that very name with a home. Throws {@link Refusal}, also when the name
 * service fails.
 */
export async function findAccount(
  lookUp: (name: AccountName) => Promise<AccountAnswer>,
  name: AccountName,
): Promise<SystemAccount> {
  const answer = await ask("account", () => lookUp(name));
  if (!answer.found) {
    const code = answer.why === "unknown" ? "account_unknown" : "account_other_name";
    throw new Refusal("account", code, `${quoted(name)}: ${answer.detail}`);
  }
  if (answer.account.name !== name) {
    throw new Refusal(
      "account",
      "account_other_name",
      `the system takes ${quoted(name)} for ${quoted(answer.account.name)}`,
    );
  }
  if (!/^\/(?!.*\p{C})/su.test(answer.account.home)) {
    throw new Refusal("account", "account_unusable", `the entry of ${quoted(name)} has no home directory`);
  }
  return answer.account;
}

/** Refuses root, the system's accounts, services and nobody. Throws {@link Refusal}. */
export function checkNumber({ name, uid, gid, shell }: SystemAccount, uidMin: number): void {
  if (uid === 0) throw new Refusal("number", "account_root", `${quoted(name)} is root`);
  const usable = [uid, gid].every((id) => Number.isSafeInteger(id) && id >= 0 && id < noNumber);
  if (!usable) throw new Refusal("number", "account_unusable", `the entry of ${quoted(name)} has no valid numbers`);
  if (uid < uidMin) {
    throw new Refusal("number", "account_system", `${quoted(name)} has the number ${uid}, below UID_MIN, ${uidMin}`);
  }
  if (nobodies.includes(uid)) {
    throw new Refusal("number", "account_system", `${quoted(name)} has the number of nobody, ${uid}`);
  }
  if (gid === 0) throw new Refusal("number", "account_system", `the group of ${quoted(name)} is root's`);
  if (uid >= services.from && uid <= services.to && /\/(?:nologin|false)$/.test(shell)) {
    throw new Refusal("number", "account_system", `${quoted(name)} is a service's: ${uid}, with the shell ${shell}`);
  }
}

/** Refuses the driver's own account; with `downscope = "none"` every other one. Throws {@link Refusal}. */
export function checkRunner({ name, uid }: SystemAccount, downscope: AuthConfig["downscope"], euid: number): string {
  if (downscope === "none") {
    if (uid === euid) return 'downscope is "none", and the account is the driver\'s own';
    throw new Refusal(
      "runner",
      "account_unreachable",
      `with downscope "none" every job runs as number ${euid}, which is not ${quoted(name)}`,
    );
  }
  if (uid !== euid) return `the driver's own account has another number, ${euid}`;
  throw new Refusal("runner", "account_of_runner", `${quoted(name)} is the runner's own account`);
}
