/** The options of a program, as getopt(3) and its kin read them. */
export interface Grammar {
  /** Letters of short options; `:` follows one that takes a value. */
  readonly short: string;
  /** Long options, without dashes; true for one that takes a value. */
  readonly long?: Readonly<Record<string, boolean | "optional">>;
  /** The beginning of a long option stands for it when it is the beginning of no other. */
  readonly abbreviations?: boolean;
  /** Options may stand behind other words. */
  readonly permute?: boolean;
  /** Long options begin with one dash, and letters do not cluster (bsub, bjobs). */
  readonly singleDash?: boolean;
}

export interface CommandLine {
  /** By letter or long name, in the order of the command line. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  readonly rest: readonly string[];
}

/** An option that the program does not know, or that lacks its value. */
export class BadOption extends Error {
  readonly word: string;

  constructor(word: string) {
    super(word);
    this.word = word;
  }
}

/** Reads a command line. Throws {@link BadOption}. */
export function readCommandLine(args: readonly string[], grammar: Grammar): CommandLine {
  const options = new Map<string, string[]>();
  const rest: string[] = [];
  const queue = [...args];
  const add = (name: string, value: string) => options.set(name, [...(options.get(name) ?? []), value]);
  const next = (word: string) => {
    const value = queue.shift();
    if (value === undefined) throw new BadOption(word);
    return value;
  };
  while (queue.length > 0) {
    const word = queue.shift() ?? "";
    if (word === "--") break;
    if (!word.startsWith("-") || word === "-") {
      rest.push(word);
      if (grammar.permute !== true) break;
    } else if (grammar.singleDash === true) readSingleDash(word, grammar, add, next);
    else if (word.startsWith("--")) readLong(word, grammar, add, next);
    else readLetters(word, grammar, add, next);
  }
  return { options, rest: [...rest, ...queue] };
}

type Add = (name: string, value: string) => void;
type Next = (word: string) => string;

function readLong(word: string, grammar: Grammar, add: Add, next: Next): void {
  const [name = "", ...value] = word.slice(2).split("=");
  const long = grammar.long ?? {};
  const full = Object.hasOwn(long, name) ? name : abbreviated(name, grammar);
  if (full === undefined) throw new BadOption(word);
  if (value.length > 0) add(full, value.join("="));
  else add(full, long[full] === true ? next(word) : "");
}

function abbreviated(name: string, grammar: Grammar): string | undefined {
  if (grammar.abbreviations !== true) return undefined;
  const meant = Object.keys(grammar.long ?? {}).filter((long) => long.startsWith(name));
  return meant.length === 1 ? meant[0] : undefined;
}

function readLetters(word: string, grammar: Grammar, add: Add, next: Next): void {
  for (let index = 1; index < word.length; index += 1) {
    const letter = word.charAt(index);
    const at = grammar.short.indexOf(letter);
    if (at === -1 || letter === ":") throw new BadOption(letter);
    if (grammar.short.charAt(at + 1) === ":") {
      const glued = word.slice(index + 1);
      add(letter, glued === "" ? next(word) : glued);
      return;
    }
    add(letter, "");
  }
}

function readSingleDash(word: string, grammar: Grammar, add: Add, next: Next): void {
  const name = word.slice(1);
  const long = grammar.long ?? {};
  if (Object.hasOwn(long, name)) return add(name, long[name] === true ? next(word) : "");
  const letter = name.charAt(0);
  const at = grammar.short.indexOf(letter);
  if (at === -1 || letter === ":") throw new BadOption(word);
  if (grammar.short.charAt(at + 1) !== ":") {
    if (name.length > 1) throw new BadOption(word);
    return add(letter, "");
  }
  add(letter, name.length > 1 ? name.slice(1) : next(word));
}
