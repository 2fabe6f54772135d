import { split } from "shlex";
import { JacamarError } from "../../error/error.ts";
import type { Wish } from "../../gitlab/variables.ts";

/** The command line of a scheduler's submitting program, as far as it takes to find the arguments that are not the user's. */
export interface OwnArguments {
  /** Long options that are ours, without dashes. */
  readonly long: readonly string[];
  /** Long options of the user's of which an option of ours is the beginning, or the other way round. */
  readonly othersLong: readonly string[];
  /** Letters of short options that are ours. */
  readonly short: string;
  /** Letters of short options that take a value, in the same word or in the next. */
  readonly shortWithValue: string;
  /** Long options that never take the next word as their value. */
  readonly longWithoutValue: readonly string[];
  /** Where long options begin with one dash, as those of LSF: then a word is one option and no cluster of letters. */
  readonly singleDash?: true;
  /** By letter: values of an option that are ours, where others of the same option are the user's. */
  readonly ownValues?: Readonly<Record<string, RegExp>>;
}

/**
 * The user's arguments for the scheduler: the words of each of the variables, split as a shell splits them, but by no
 * shell: nothing in them is expanded or run.
 *
 * Throws `batch_arguments_invalid` for quotes that do not end, and for an argument that is the driver's own.
 *
 * @param own undefined to let those through, too (`allow_illegal_args`).
 */
export function userArguments(wishes: readonly Wish[], own: OwnArguments | undefined): string[] {
  return wishes.flatMap((wish) => {
    const words = splitWords(wish);
    const refused = own && findOwn(words, own);
    if (refused === undefined) return words;
    throw new JacamarError(
      "batch_arguments_invalid",
      `The variable ${wish.name} holds ${JSON.stringify(refused.word.slice(0, 200))}, which ${refused.why}`,
      { hint: `Take it out of ${wish.name}. Names, output files and waiting are set by this runner.` },
    );
  });
}

function splitWords(wish: Wish): string[] {
  if (wish.text.includes("\0")) throw invalid(wish, "holds a NUL character");
  try {
    return split(wish.text);
  } catch {
    throw invalid(wish, "has a quote that does not end");
  }
}

function invalid(wish: Wish, why: string): JacamarError {
  return new JacamarError("batch_arguments_invalid", `The variable ${wish.name} ${why}`, {
    hint: "Write it as on a command line. Quote what has spaces in it.",
  });
}

/** The first word that is ours, that may mean one of ours, or that is no option; undefined when there is none. */
export function findOwn(words: readonly string[], own: OwnArguments): { word: string; why: string } | undefined {
  let valueOf: string | undefined;
  for (const word of words) {
    // Behind it sbatch(1) begins another component of the job, also when the option before it is one that is not known here.
    if (word === ":") return { word, why: "is no option: it would make several jobs of one" };
    if (valueOf !== undefined) {
      const ours = ownValue(valueOf, word, own);
      if (ours !== undefined) return { word, why: ours };
    }
    if (valueOf !== undefined && (!word.startsWith("-") || /^-[0-9]/.test(word))) {
      valueOf = undefined;
      continue;
    }
    if (!word.startsWith("-") || word === "-" || word === "--") {
      return { word, why: "is no option: the runner submits a script of its own" };
    }
    const long = own.singleDash === true || word.startsWith("--");
    const found = long ? readLong(word, own) : readShort(word, own);
    if (found.ours !== undefined) return { word, why: `is ${found.ours}, which the runner sets itself` };
    const ours = found.value === undefined ? undefined : ownValue(found.option, found.value, own);
    if (ours !== undefined) return { word, why: ours };
    // The option before it may be one without a value that is not known here: then this word is an option, and else it was
    // the value. What follows it is no value in both cases.
    valueOf = valueOf === undefined && found.valueFollows ? found.option : undefined;
  }
  return undefined;
}

function ownValue(option: string, value: string, { ownValues = {} }: OwnArguments): string | undefined {
  const ours = Object.hasOwn(ownValues, option) ? ownValues[option]?.exec(value)?.[0] : undefined;
  return ours === undefined ? undefined : `has ${ours} for -${option}, which the runner sets itself`;
}

interface Reading {
  readonly ours?: string;
  /** The option's letter or long name. */
  readonly option: string;
  /** Its value, when it stands in the same word. */
  readonly value?: string;
  readonly valueFollows: boolean;
}

/**
 * getopt_long(3) takes the beginning of a long option for the whole; it is refused where it may be the beginning of one of
 * ours, and takes no value where it may be the beginning of one without.
 */
function readLong(word: string, own: OwnArguments): Reading {
  const [name = "", ...value] = word.replace(/^--?/, "").split("=");
  const exact = own.long.find((option) => option === name);
  const dashes = own.singleDash === true ? "-" : "--";
  if (exact !== undefined) return { ours: `${dashes}${exact}`, option: name, valueFollows: false };
  const known = own.othersLong.includes(name) || own.longWithoutValue.includes(name);
  const meant = known || own.singleDash === true ? undefined : own.long.find((option) => option.startsWith(name));
  if (meant !== undefined) return { ours: `a beginning of ${dashes}${meant}`, option: name, valueFollows: false };
  const glued = own.singleDash === true ? gluedValue(name, own) : undefined;
  if (glued !== undefined) return glued;
  if (value.length > 0) return { option: name, value: value.join("="), valueFollows: false };
  const alone = own.longWithoutValue.some((option) =>
    own.singleDash === true ? option === name : option.startsWith(name),
  );
  return { option: name, valueFollows: !alone };
}

/** `-oFILE` of LSF: an option of one letter with its value in the same word. */
function gluedValue(name: string, own: OwnArguments): Reading | undefined {
  if (own.othersLong.includes(name) || own.longWithoutValue.includes(name)) return undefined;
  const letter = name.charAt(0);
  if (name !== "" && own.short.includes(letter)) return { ours: `-${letter}`, option: letter, valueFollows: false };
  if (name.length > 1 && own.shortWithValue.includes(letter)) {
    return { option: letter, value: name.slice(1), valueFollows: false };
  }
  if (name.length === 1 && !own.shortWithValue.includes(letter)) return { option: letter, valueFollows: false };
  return undefined;
}

/** `-Ho FILE`: letters without a value, then perhaps one with. */
function readShort(word: string, own: OwnArguments): Reading {
  for (let index = 1; index < word.length; index += 1) {
    const letter = word.charAt(index);
    if (own.short.includes(letter)) return { ours: `-${letter}`, option: letter, valueFollows: false };
    if (own.shortWithValue.includes(letter)) {
      const value = word.slice(index + 1);
      return value === "" ? { option: letter, valueFollows: true } : { option: letter, value, valueFollows: false };
    }
  }
  return { option: word, valueFollows: false };
}
