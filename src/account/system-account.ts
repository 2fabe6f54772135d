import type { Account } from "./account.ts";

/** Linux: what user ids that cannot be shown become (overflowuid), and `nobody`; the same in 16 bits. */
const nobodies = [65534, 65535];
const noNumber = 0xffff_ffff;
/**
 * Numbers above UID_MIN that services get beside people: Debian's (Policy, 9.2.2: 60000 to 64999, `slurm` among them) and systemd's for
 * `DynamicUser=` (61184 to 65519), whose names are those of services. No service has a shell.
 */
const services = { from: 60_000, to: 65_533 } as const;

/** Why an account is no person's; `why` is the end of a sentence that begins with its name. */
export interface Impersonal {
  readonly kind: "root" | "unusable" | "system";
  readonly why: string;
}

/** Whether an account is root's, the system's, a service's or nobody's; undefined for one that may be a person's. */
export function whyImpersonal(
  { uid, gid, shell }: Pick<Account, "uid" | "gid" | "shell">,
  uidMin: number,
): Impersonal | undefined {
  if (uid === 0) return { kind: "root", why: "is root" };
  const usable = [uid, gid].every((id) => Number.isSafeInteger(id) && id >= 0 && id < noNumber);
  if (!usable) return { kind: "unusable", why: "has no valid numbers" };
  if (uid < uidMin) return { kind: "system", why: `has the number ${uid}, below UID_MIN, ${uidMin}` };
  if (nobodies.includes(uid)) return { kind: "system", why: `has the number of nobody, ${uid}` };
  if (gid === 0) return { kind: "system", why: "has root's group" };
  if (uid >= services.from && uid <= services.to && /\/(?:nologin|false)$/.test(shell)) {
    return { kind: "system", why: `is a service's: ${uid}, with the shell ${shell}` };
  }
  return undefined;
}
