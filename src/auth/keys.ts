import { JacamarError } from "../error/error.ts";
import { type CachedKeys, KeyCache } from "./key-cache.ts";
import type { FetchedKeys } from "./key-fetch.ts";
import type { KeyServer } from "./key-server.ts";
import type { SigningKey } from "./key-set.ts";

/** What is known of a key id. The notes are sentences for the system log: what was not as it should be on the way. */
export type KeyAnswer =
  | { readonly kind: "known"; readonly key: SigningKey; readonly notes: readonly string[] }
  | { readonly kind: "unknown"; readonly notes: readonly string[] };

/** The public keys of the trusted server. */
export interface KeySource {
  /**
   * Finds a key by its id, which may be any text.
   * Throws `keys_unavailable` (blame: site) when it is not known because the server could not be asked.
   */
  find(kid: string): Promise<KeyAnswer>;
}

export interface KeySourceOptions {
  readonly server: KeyServer;
  /** Where the keys are cached; see `keyCacheDirectory()`. */
  readonly cacheDirectory: string;
  /** `tls-ca-file` */
  readonly tlsCaFile: string | undefined;
  /** The driver's own environment, for the proxy. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: () => number;
  /** Longest time that the server gets for its answer. Default: 10 s. */
  readonly limitMilliseconds?: number;
}

/** The server is asked again after this time, at the latest. */
const freshMilliseconds = 24 * 3600 * 1000;
/** The server is asked at most once in this time. */
const pauseMilliseconds = 60 * 1000;
/** What a process may need, beside the server's time, until its attempt is written down as ended. */
const lingerMilliseconds = 2000;
const pollMilliseconds = 50;
/** Longest reason, in characters, that is written down; the cache refuses much longer ones. */
const mostWhy = 500;

/**
 * The keys of a server, through a cache on disk:
 *
 * - a key that was fetched in the last 24 hours needs no request;
 * - an older one is asked for again, and is used all the same when the server does not give its keys, with a note;
 * - for a key that is not cached the server is asked, by all processes together once a minute. Two processes that look
 *   within the same millisecond may both ask. Who needs a key while another process asks for it waits for that answer.
 *
 * A cache that cannot be trusted or written costs each job a request, and a note. What only a request needs is loaded with it.
 */
export function keySource(options: KeySourceOptions): KeySource {
  return { find: (kid) => new Search(options, kid).run() };
}

class Search {
  readonly #options: KeySourceOptions;
  readonly #kid: string;
  readonly #cache: KeyCache;
  readonly #limit: number;
  readonly #notes = new Set<string>();

  constructor(options: KeySourceOptions, kid: string) {
    this.#options = options;
    this.#kid = kid;
    this.#limit = options.limitMilliseconds ?? 10_000;
    this.#cache = new KeyCache(options.cacheDirectory, options.server.issuer);
  }

  async run(): Promise<KeyAnswer> {
    const began = this.#now();
    const patience = this.#limit + lingerMilliseconds;
    for (let waited = 0; ; waited += pollMilliseconds) {
      const cached = this.#read();
      const key = cached && this.#findIn(cached);
      if (cached === undefined) return this.#ask(cached);
      if (key !== undefined && this.#isWithin(cached.fetchedAt, freshMilliseconds)) return this.#known(key);
      const { attempt } = cached;
      if (!this.#isWithin(attempt.startedAt, pauseMilliseconds)) return this.#ask(cached);
      if (key !== undefined) return this.#stale(key, cached, attempt.why || "another job is asking for them");
      if (attempt.outcome === "done") {
        return this.#unknown(`asked ${this.#age(attempt.endedAt)} ago, and is asked once a minute at most`);
      }
      if (attempt.outcome === "running" && this.#isWithin(attempt.startedAt, patience) && waited < patience) {
        await new Promise((resolve) => setTimeout(resolve, pollMilliseconds));
        continue;
      }
      // Without any key no job runs, so nobody is spared by waiting; but who waited for an attempt shares how it ended.
      if (cached.keys.length === 0 && attempt.endedAt < began) return this.#ask(cached);
      throw this.#unavailable(attempt.why || "an attempt to ask it was broken off");
    }
  }

  async #ask(cached: CachedKeys | undefined): Promise<KeyAnswer> {
    const startedAt = this.#now();
    const before = cached ?? { fetchedAt: 0, keys: [] };
    this.#write({ ...before, attempt: { startedAt, endedAt: 0, outcome: "running", why: "" } });
    const fetched = await this.#fetch();
    const endedAt = this.#now();
    if (fetched.kind === "fetched") {
      const { keys } = fetched;
      this.#write({ fetchedAt: endedAt, keys, attempt: { startedAt, endedAt, outcome: "done", why: "" } });
      const key = this.#findIn(fetched);
      return key === undefined ? this.#unknown("asked just now") : this.#known(key);
    }
    const why = fetched.why.slice(0, mostWhy);
    // Another process may have had more luck meanwhile.
    const latest = this.#read() ?? before;
    this.#write({ ...latest, attempt: { startedAt, endedAt, outcome: "failed", why } });
    const key = this.#findIn(latest);
    if (key === undefined) throw this.#unavailable(why);
    return this.#stale(key, latest, why);
  }

  async #fetch(): Promise<FetchedKeys> {
    const { fetchKeys } = await import("./key-fetch.ts");
    const { server, tlsCaFile, environment } = this.#options;
    return fetchKeys({ server, tlsCaFile, environment, limitMilliseconds: this.#limit });
  }

  #read(): CachedKeys | undefined {
    const cached = this.#cache.read();
    if ("keys" in cached) return cached;
    if (cached.why !== undefined) this.#notes.add(`The cache of the server's keys is not used: ${cached.why}.`);
    return undefined;
  }

  #write(cached: CachedKeys): void {
    const why = this.#cache.write(cached);
    if (why !== undefined) this.#notes.add(`The server's keys are not cached: ${why}.`);
  }

  #findIn({ keys }: { readonly keys: readonly SigningKey[] }): SigningKey | undefined {
    return keys.find((key) => key.kid === this.#kid);
  }

  #known(key: SigningKey): KeyAnswer {
    return { kind: "known", key, notes: [...this.#notes] };
  }

  #stale(key: SigningKey, { fetchedAt }: { readonly fetchedAt: number }, why: string): KeyAnswer {
    const { issuer } = this.#options.server;
    this.#notes.add(`The keys of ${issuer} are ${this.#age(fetchedAt)} old and could not be renewed: ${why}.`);
    return this.#known(key);
  }

  #unknown(asked: string): KeyAnswer {
    this.#notes.add(`${this.#options.server.issuer} does not publish that key (${asked}).`);
    return { kind: "unknown", notes: [...this.#notes] };
  }

  #unavailable(why: string): JacamarError {
    return new JacamarError(
      "keys_unavailable",
      `Cannot get the public keys of ${this.#options.server.issuer}: ${why}`,
      {
        hint: `Check from this machine: curl ${this.#options.server.keysUrl}`,
      },
    );
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  /** Whether a time is less than that long ago. Clocks of machines differ a little; a time well ahead is a wrong one. */
  #isWithin(time: number, milliseconds: number): boolean {
    const age = this.#now() - time;
    return age < milliseconds && age > -pauseMilliseconds;
  }

  #age(time: number): string {
    const seconds = Math.max(0, Math.round((this.#now() - time) / 1000));
    return seconds < 3600 ? `${seconds} seconds` : `${Math.round(seconds / 3600)} hours`;
  }
}
