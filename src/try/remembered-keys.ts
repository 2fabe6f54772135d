import { rmSync } from "node:fs";
import type { Account } from "../account/account.ts";

/**
 * Removes what a driver of this account remembers of a token server of ours (docs/authorization.md): its key, which is new with each
 * run and asked for once a minute at most, so that a second run within that minute would be refused; and its people.
 */
export function forgetTokenServer(address: string, { uid, home }: Account): void {
  const directory = uid === 0 ? "/var/cache/jacamar" : `${home.replace(/\/+$/, "")}/.cache/jacamar`;
  const server = encodeURIComponent(address);
  for (const name of [`keys-${server}.json`, `people-${server}`]) {
    try {
      rmSync(`${directory}/${name}`, { recursive: true, force: true });
    } catch {
      // What cannot be removed is at worst in the way of the next run, which then says so.
    }
  }
}
