const replacement = Buffer.from("[MASKED]");

/**
 * Replaces secrets in a stream of bytes by `[MASKED]`, also where a secret is cut in two by the border of two chunks.
 * Only what may be the start of a secret is held back. Of several secrets that fit at one place the longest counts.
 */
export class Mask {
  readonly #secrets: readonly string[];
  readonly #pattern: RegExp | undefined;
  #held = "";

  constructor(secrets: readonly string[]) {
    // Latin-1 makes each byte one character, so that bytes which are no UTF-8 pass through unharmed.
    const unique = new Set(secrets.filter((one) => one !== "").map((one) => Buffer.from(one).toString("latin1")));
    this.#secrets = [...unique].toSorted((a, b) => b.length - a.length);
    const source = this.#secrets.map((one) => one.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("|");
    this.#pattern = source === "" ? undefined : new RegExp(source, "g");
  }

  /** What may be shown now. */
  push(chunk: Buffer): Buffer {
    if (this.#pattern === undefined) return chunk;
    const text = this.#held + chunk.toString("latin1");
    return this.#masked(text, this.#pattern, true);
  }

  /** What was held back, when nothing more comes. */
  end(): Buffer {
    const text = this.#held;
    this.#held = "";
    return this.#pattern === undefined ? Buffer.alloc(0) : this.#masked(text, this.#pattern, false);
  }

  #masked(text: string, pattern: RegExp, moreMayCome: boolean): Buffer {
    const parts: Buffer[] = [];
    let at = 0;
    for (;;) {
      const hold = moreMayCome ? this.#holdFrom(text, at) : text.length;
      pattern.lastIndex = at;
      const match = pattern.exec(text);
      if (match !== null && match.index < hold) {
        parts.push(Buffer.from(text.slice(at, match.index), "latin1"), replacement);
        at = match.index + match[0].length;
        continue;
      }
      parts.push(Buffer.from(text.slice(at, hold), "latin1"));
      this.#held = text.slice(hold);
      return Buffer.concat(parts);
    }
  }

  /** The first place from which the rest could be the start of a secret. */
  #holdFrom(text: string, from: number): number {
    const longest = this.#secrets[0]?.length ?? 0;
    for (let start = Math.max(from, text.length - longest + 1); start < text.length; start += 1) {
      const rest = text.slice(start);
      if (this.#secrets.some((secret) => secret.length > rest.length && secret.startsWith(rest))) return start;
    }
    return text.length;
  }
}
