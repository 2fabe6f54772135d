import { parse, TomlError, type TomlTable, type TomlValue } from "smol-toml";

export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface TomlText {
  readonly table: TomlTable;
  /** The text that was parsed: without a byte order mark, and without the backslashes of `slashes`. */
  readonly text: string;
  /** Where, in the original text, `\/` stood in a string and was read as `/`. */
  readonly slashes: readonly Position[];
}

export interface TomlFailure extends Position {
  readonly reason: string;
}

/** A file full of `\/` is no configuration, and each one costs a pass over the text. */
const mostSlashes = 100;

/**
 * Parses TOML, as the specification's own example writes it: that has `\/` in a basic string, which TOML allowed up to
 * its version 0.2 and some parsers still read as `/`. It has no other meaning, so it is taken, and reported.
 */
export function readToml(original: string): TomlText | TomlFailure {
  let text = original.startsWith("\ufeff") ? original.slice(1) : original;
  const slashes: Position[] = [];
  for (;;) {
    try {
      return { table: parse(text), text, slashes };
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      const place = inOriginal(error, slashes);
      const reason = /^Invalid TOML document: (.*)/.exec(error.message)?.[1] ?? "this is not TOML";
      const offset = offsetOf(text, error);
      if (reason !== "unrecognised escape sequence") return { ...place, reason };
      // The parser points behind the backslash.
      const backslash = { line: place.line, column: place.column - 1 };
      if (text.slice(offset - 1, offset + 1) !== "\\/" || slashes.length === mostSlashes)
        return { ...backslash, reason };
      slashes.push(backslash);
      text = text.slice(0, offset - 1) + text.slice(offset);
    }
  }
}

/** Whether a value of the file is a table: lists and dates are objects too. */
export function isTomlTable(value: TomlValue | undefined): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}

/** The value of a key path; undefined where the file has none. */
export function valueAt(table: TomlTable, path: readonly (string | number)[]): TomlValue | undefined {
  let value: TomlValue | undefined = table;
  for (const step of path) value = isTomlTable(value) && Object.hasOwn(value, step) ? value[step] : undefined;
  return value;
}

/** Where a position of the parsed text stands in the original one. */
export function inOriginal(place: Position, slashes: readonly Position[]): Position {
  let { column } = place;
  for (const slash of slashes) if (slash.line === place.line && slash.column <= column) column += 1;
  return { line: place.line, column };
}

function offsetOf(text: string, place: Position): number {
  let start = 0;
  for (let line = 1; line < place.line; line++) start = text.indexOf("\n", start) + 1;
  return start + place.column - 1;
}
