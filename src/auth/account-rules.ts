import type { AccountAnswer, SystemAccount } from "../account/lookup.ts";
import { whyImpersonal } from "../account/system-account.ts";
import type { AuthConfig } from "./lists.ts";
import type { AccountName } from "./name.ts";
import { quoted } from "./reasons.ts";
import { ask, Refusal } from "./refusal.ts";

const codes = { root: "account_root", unusable: "account_unusable", system: "account_system" } as const;

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
export function checkNumber(account: SystemAccount, uidMin: number): void {
  const impersonal = whyImpersonal(account, uidMin);
  if (impersonal === undefined) return;
  throw new Refusal("number", codes[impersonal.kind], `${quoted(account.name)} ${impersonal.why}`);
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
