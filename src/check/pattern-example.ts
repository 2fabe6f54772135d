/** A name that an expression matches, made from the expression. */
export interface PatternExample {
  readonly text: string;
  /** Where in the text something stands for what the expression leaves open (`.*`, `.+`, `[^/]*`): from and to. */
  readonly open: readonly (readonly [number, number])[];
}

/** The longest expression and the deepest nesting that is read; what goes beyond gets no example. */
const longest = 1000;
const deepest = 20;

/**
 * Makes a short name that an expression in RE2's syntax probably matches, choosing the first of what it offers and a dot
 * for a lone `.`. Undefined for what this does not understand. Whoever uses it must ask the expression whether it matches.
 */
export function exampleOf(source: string): PatternExample | undefined {
  if (source.length > longest) return undefined;
  const reader = new Reader(source);
  try {
    const example = reader.alternatives(0);
    return reader.atEnd ? example : undefined;
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined;
    throw error;
  }
}

class NotUnderstood extends Error {}

const nothing: PatternExample = { text: "", open: [] };

class Reader {
  readonly #source: string;
  #place = 0;

  constructor(source: string) {
    this.#source = source;
  }

  get atEnd(): boolean {
    return this.#place === this.#source.length;
  }

  /** The first alternative; the others are only read. */
  alternatives(depth: number): PatternExample {
    if (depth > deepest) throw new NotUnderstood();
    const first = this.#sequence(depth);
    while (this.#take("|")) this.#sequence(depth);
    return first;
  }

  #sequence(depth: number): PatternExample {
    let all = nothing;
    while (!this.atEnd && !"|)".includes(this.#peek())) all = join(all, this.#repeated(depth));
    return all;
  }

  #repeated(depth: number): PatternExample {
    const isDot = this.#peek() === ".";
    const isNegated = this.#source.startsWith("[^", this.#place);
    const one = this.#one(depth);
    const repetition = /^(?:[*+?]|\{(\d+)(?:,\d*)?\})\??/.exec(this.#source.slice(this.#place, this.#place + 20));
    if (repetition === null) return one;
    this.#place += repetition[0].length;
    if (isDot || isNegated) return { text: "x", open: repetition[0].startsWith("?") ? [] : [[0, 1]] };
    const least = repetition[1] === undefined ? 1 : Number(repetition[1]);
    if (least > 200) throw new NotUnderstood();
    let all = nothing;
    for (let count = 0; count < least; count += 1) all = join(all, one);
    return all;
  }

  #one(depth: number): PatternExample {
    const literal = /^\\Q([^]*?)(?:\\E|$)/.exec(this.#source.slice(this.#place));
    if (literal !== null) {
      this.#place += literal[0].length;
      return text(literal[1] ?? "");
    }
    const character = this.#next();
    switch (character) {
      case "^":
      case "$":
        return nothing;
      case ".":
        return text(".");
      case "(":
        return this.#group(depth);
      case "[":
        return text(this.#class());
      case "\\":
        return text(escaped(this.#next()));
      case "*":
      case "+":
      case "?":
      case "{":
        throw new NotUnderstood();
      default:
        return text(character);
    }
  }

  #group(depth: number): PatternExample {
    const flags = /^\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?(:|(?=\))))/.exec(this.#source.slice(this.#place));
    if (flags !== null) this.#place += flags[0].length;
    else if (this.#peek() === "?") throw new NotUnderstood();
    const inner = this.alternatives(depth + 1);
    if (!this.#take(")")) throw new NotUnderstood();
    return inner;
  }

  /** A character of a class. */
  #class(): string {
    const whole = /^(\^?)(\]?(?:\\[^]|\[:\^?\w+:\]|[^\]\\])*)\]/.exec(this.#source.slice(this.#place));
    if (whole === null) throw new NotUnderstood();
    this.#place += whole[0].length;
    const [, negated, content = ""] = whole;
    if (negated === "^") return "x";
    const named = /^\[:(\^?)(\w+):\]/.exec(content);
    if (named !== null) return named[1] === "" && /^(?:digit|xdigit)$/.test(named[2] ?? "") ? "0" : "x";
    return content.startsWith("\\") ? escaped(content.charAt(1)) : content.charAt(0);
  }

  #peek(): string {
    return this.#source.charAt(this.#place);
  }

  #next(): string {
    const character = this.#peek();
    if (character === "") throw new NotUnderstood();
    this.#place += 1;
    return character;
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#place += 1;
    return true;
  }
}

/** What stands for `\d`, `\w` and the like; the character itself for any other. */
function escaped(character: string): string {
  if (/[AzbB]/.test(character)) return "";
  if (character === "d") return "0";
  if (character === "w" || character === "S" || character === "D") return "x";
  if (/[a-zA-Z0-9]/.test(character)) throw new NotUnderstood();
  return character;
}

function text(characters: string): PatternExample {
  return { text: characters, open: [] };
}

function join(a: PatternExample, b: PatternExample): PatternExample {
  const shift = a.text.length;
  return {
    text: a.text + b.text,
    open: [...a.open, ...b.open.map(([from, to]) => [from + shift, to + shift] as const)],
  };
}
