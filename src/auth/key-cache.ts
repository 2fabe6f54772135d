import { closeSync, constants, fstatSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import type { Account } from "../account/account.ts";
import { whyForeign } from "../config/trusted-path.ts";
import { systemErrorCode } from "../error/error.ts";
import { type SigningKey, signingKeys } from "./key-set.ts";
import { whyNotPrivate } from "./private-cache.ts";

/** What is kept of a server between two jobs. Times are milliseconds since 1970. */
export interface CachedKeys {
  /** When the server last gave its keys; 0 when it never did. */
  readonly fetchedAt: number;
  readonly attempt: Attempt;
  readonly keys: readonly SigningKey[];
}

/** The last time that the server was asked, by whichever process. */
export interface Attempt {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly outcome: "running" | "done" | "failed";
  /** Why it failed; else "". */
  readonly why: string;
}

const largestFileBytes = 512 * 1024;

const time = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const fileSchema = v.object({
  version: v.literal(1),
  server: v.string(),
  fetchedAt: time,
  attempt: v.object({
    startedAt: time,
    endedAt: time,
    outcome: v.picklist(["running", "done", "failed"]),
    why: v.pipe(v.string(), v.maxLength(1000)),
  }),
  keys: v.array(v.unknown()),
});

/**
 * Where the keys are cached: `/var/cache/jacamar` for root, else `.cache/jacamar` in the home that the account's entry
 * names. `XDG_CACHE_HOME` and `HOME` are not asked: who sets them would choose the keys.
 */
export function keyCacheDirectory(account: Account): string {
  return account.uid === 0 ? "/var/cache/jacamar" : `${account.home.replace(/\/+$/, "")}/.cache/jacamar`;
}

/**
 * The keys of one server on disk. Whoever can write this file can be anybody, so it is believed only as far as nobody but
 * root and this process's own account can have written it, or exchanged it: the file is 0600, in a directory that passes
 * {@link whyNotPrivate}. What is not so, or is damaged, counts as not there.
 */
export class KeyCache {
  readonly #directory: string;
  readonly #path: string;
  readonly #server: string;

  /** @param server whose keys they are; a file of another server counts as not there. */
  constructor(directory: string, server: string) {
    this.#directory = directory;
    this.#server = server;
    this.#path = `${directory}/keys-${encodeURIComponent(server).slice(0, 200)}.json`;
  }

  /** What is cached, or why nothing is; no reason when there is simply nothing yet. Never throws. */
  read(): CachedKeys | { readonly why: string | undefined } {
    const unsafe = whyNotPrivate(this.#directory);
    if (unsafe !== undefined) return { why: unsafe };
    let descriptor: number;
    try {
      descriptor = openSync(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      const code = systemErrorCode(error);
      return { why: code === "ENOENT" ? undefined : `"${this.#path}" cannot be opened: ${code ?? "unknown error"}` };
    }
    try {
      const status = fstatSync(descriptor);
      if (!status.isFile()) return { why: `"${this.#path}" is not a regular file` };
      const foreign = whyForeign(this.#path, status, 0o077);
      if (foreign !== undefined) return { why: foreign };
      if (status.size > largestFileBytes) return { why: `"${this.#path}" is too large (${status.size} bytes)` };
      return this.#parse(readFileSync(descriptor, "utf8")) ?? { why: `"${this.#path}" is damaged` };
    } catch (error) {
      return { why: `"${this.#path}" cannot be read: ${systemErrorCode(error) ?? "unknown error"}` };
    } finally {
      closeSync(descriptor);
    }
  }

  /** Replaces what is cached, at once. @returns why it could not be done. Never throws. */
  write(cached: CachedKeys): string | undefined {
    const unsafe = whyNotPrivate(this.#directory);
    if (unsafe !== undefined) return unsafe;
    // Unique among the processes that can write here, also those of other machines that share a home.
    const temporary = `${this.#path}.${process.pid}-${process.hrtime.bigint()}`;
    try {
      const text = JSON.stringify({ version: 1, server: this.#server, ...cached });
      writeFileSync(temporary, text, { flag: "wx", mode: 0o600 });
      renameSync(temporary, this.#path);
      return undefined;
    } catch (error) {
      rmSync(temporary, { force: true });
      return `"${this.#path}" cannot be written: ${systemErrorCode(error) ?? "unknown error"}`;
    }
  }

  #parse(text: string): CachedKeys | undefined {
    let data: unknown;
    try {
      data = JSON.parse(text);
    } catch {
      return undefined;
    }
    const parsed = v.safeParse(fileSchema, data);
    if (!parsed.success || parsed.output.server !== this.#server) return undefined;
    const { fetchedAt, attempt, keys } = parsed.output;
    // The keys pass the same check as when they came.
    return { fetchedAt, attempt, keys: signingKeys({ keys }) ?? [] };
  }
}
