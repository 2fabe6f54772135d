import { atLineStart, type Stream, writeWhole } from "./output.ts";

/**
 * The log that the user sees. In the config stage standard output is the answer to the runner, so there the log is
 * standard error; everywhere else it is standard output (facts/gitlab-runner.md, 1.8).
 */
export class JobLog {
  readonly #stream: Stream;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  say(line: string): void {
    writeWhole(this.#stream, Buffer.from(`${printable(line)}\n`));
  }

  /** A line for GitLab itself, with the control characters that it reads: never with a text of anybody else's in it. */
  mark(line: string): void {
    writeWhole(this.#stream, Buffer.from(`\x1b[0K${line}\n`));
  }

  /** The same, on a line of its own also where a script's output has ended inside a line. */
  sayAfterScript(line: string): void {
    this.say(atLineStart(this.#stream) ? line : `\n${line}`);
  }
}

/** Characters that show nothing, or turn the direction of what is shown: with them a text looks like another one. */
const hidden = /[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;

/**
 * A text on one or more lines without the control characters by which it could rewrite a terminal or the log, or look like what it
 * is not.
 */
export function printable(text: string): string {
  let shown = "";
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    const control = (point < 32 && character !== "\n" && character !== "\t") || (point >= 127 && point < 160);
    if (control) shown += `\\x${point.toString(16).padStart(2, "0")}`;
    else shown += hidden.test(character) ? `\\u${point.toString(16).padStart(4, "0")}` : character;
  }
  return shown;
}

/** The same on one line: for a name that somebody has chosen, which must not look like a further line of ours. */
export function printableLine(text: string): string {
  return printable(text).replaceAll("\n", "\\x0a");
}
