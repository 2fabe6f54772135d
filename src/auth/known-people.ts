import { closeSync, constants, lstatSync, openSync } from "node:fs";
import { whyForeign } from "../config/trusted-path.ts";
import { systemErrorCode } from "../error/error.ts";
import { whyNotPrivate } from "./private-cache.ts";

/**
 * The users of a GitLab server that are known to be people, by number: an empty file for each, named after it. Whoever can
 * make such a file can pass a service account for a person, so the directory must pass {@link whyNotPrivate}, and the file be
 * root's or this process's own.
 */
export class KnownPeople {
  readonly #directory: string;

  constructor(cacheDirectory: string, server: string) {
    this.#directory = `${cacheDirectory}/people-${encodeURIComponent(server).slice(0, 200)}`;
  }

  /** @param userId digits. Whether the user is known to be a person, or why that cannot be told. Never throws. */
  has(userId: string): boolean | { readonly why: string } {
    const why = whyNotPrivate(this.#directory);
    if (why !== undefined) return { why };
    try {
      const path = this.#fileOf(userId);
      const status = lstatSync(path, { throwIfNoEntry: false });
      if (status === undefined) return false;
      if (!status.isFile()) return { why: `"${path}" is not a regular file` };
      const foreign = whyForeign(path, status, 0o022);
      return foreign === undefined ? true : { why: foreign };
    } catch (error) {
      return { why: `"${this.#directory}" cannot be read: ${systemErrorCode(error) ?? "unknown error"}` };
    }
  }

  /** Remembers a person. @returns why it could not be done. Never throws. */
  remember(userId: string): string | undefined {
    const why = whyNotPrivate(this.#directory);
    if (why !== undefined) return why;
    const path = this.#fileOf(userId);
    try {
      closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600));
      return undefined;
    } catch (error) {
      const code = systemErrorCode(error);
      // Another job of theirs was as fast.
      return code === "EEXIST" ? undefined : `"${path}" cannot be written: ${code ?? "unknown error"}`;
    }
  }

  #fileOf(userId: string): string {
    if (!/^[1-9][0-9]{0,18}$/.test(userId)) throw new Error("a user without a number");
    return `${this.#directory}/${userId}`;
  }
}
