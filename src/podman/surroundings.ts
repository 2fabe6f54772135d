import { lstatSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import type { Account } from "../account/account.ts";
import { isPrivateDirectory } from "../workspace/directories.ts";

/**
 * The directory that Podman gets as `XDG_RUNTIME_DIR`: the one that the system made for the user, or else one of ours,
 * always the same for a user on a machine, since Podman remembers it in the user's store. On a local disk, 0700, the
 * user's own. A stranger who takes the name in /tmp first only gets the next place used.
 * Throws `directory_failed`.
 */
export function makeRuntimeDirectory(account: Account, base: string): string {
  const system = systemRuntimeDirectory(account);
  if (system !== undefined) return system;
  const places = ownPlaces(account, base);
  let code: string | undefined;
  for (const place of places) {
    try {
      mkdirSync(place, 0o700);
    } catch (error) {
      code = systemErrorCode(error);
    }
    if (isOwnPlace(place, account)) return place;
  }
  throw new JacamarError(
    "directory_failed",
    `Cannot make a runtime directory for Podman, neither ${places.join(" nor ")}: ${code ?? "not yours"}`,
    {
      hint: "Ask the administrator to enable lingering for your account: loginctl enable-linger",
    },
  );
}

/**
 * The directory that {@link makeRuntimeDirectory} would return, where it is there and is the user's; undefined where no job of theirs
 * has had one. Nothing is made.
 */
export function runtimeDirectory(account: Account, base: string): string | undefined {
  return systemRuntimeDirectory(account) ?? ownPlaces(account, base).find((place) => isOwnPlace(place, account));
}

/** A directory of the user's own in one of somebody else's could be exchanged for another one. */
function isOwnPlace(place: string, { uid }: Account): boolean {
  if (!isPrivateDirectory(place, uid)) return false;
  const above = dirname(place);
  const owners = [lstatSync, statSync].map((look) => look(above, { throwIfNoEntry: false })?.uid);
  return owners.every((owner) => owner === 0 || owner === uid);
}

function ownPlaces(account: Account, base: string): string[] {
  return [`/tmp/jacamar-ci-${account.uid}`, `${base}/run`];
}

/** The directory below /run/user that the system has made for the user; undefined where it has not. */
export function systemRuntimeDirectory(account: Account): string | undefined {
  const path = `/run/user/${account.uid}`;
  return isPrivateDirectory(path, account.uid) ? path : undefined;
}
