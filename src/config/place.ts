// Loaded only when there is a problem: a second parser that keeps positions, and the search for the nearest known word.
import { closest, distance } from "fastest-levenshtein";
import { type AST, parseTOML } from "toml-eslint-parser";
import type { Fault, Inspection, Path } from "./inspect.ts";
import { type Problem, showPath } from "./problem.ts";
import { inOriginal, type Position } from "./toml.ts";

/** Gives each fault its place in the file and the nearest known word, in the order of the file. */
export function placeFaults(faults: readonly Fault[], inspection: Inspection, file: string): Problem[] {
  const places = inspection.text === undefined ? new Map<string, Place>() : placesOf(inspection.text);
  return faults
    .map((fault): Problem => {
      const syntax = inspection.text === undefined ? explain(fault.message) : undefined;
      const suggestion = fault.suggestion ?? nearest(fault);
      const expected = syntax?.expected ?? fault.expected;
      return {
        file,
        ...positionOf(fault, places, inspection.slashes),
        path: showPath(fault.path),
        message: syntax?.message ?? fault.message,
        ...(expected === undefined ? {} : { expected }),
        ...(suggestion === undefined ? {} : { suggestion }),
        ...(fault.rule === undefined ? {} : { rule: fault.rule }),
      };
    })
    .toSorted((a, b) => a.line - b.line || a.column - b.column);
}

interface Place {
  key: Position;
  value: Position | undefined;
}

function positionOf(fault: Fault, places: ReadonlyMap<string, Place>, slashes: readonly Position[]): Position {
  const { at, path } = fault;
  if (typeof at === "object") return at;
  // What has no place of its own, such as a missing key, gets that of its table.
  for (let length = path.length; length > 0; length--) {
    const place = places.get(placeName(path.slice(0, length)));
    if (place !== undefined) return inOriginal((at === "value" ? place.value : undefined) ?? place.key, slashes);
  }
  return { line: 1, column: 1 };
}

/** Where every key and value of the text stands. Empty when this parser, unlike the first, does not take the text. */
function placesOf(text: string): Map<string, Place> {
  const places = new Map<string, Place>();
  const start = (node: AST.TOMLNode): Position => ({ line: node.loc.start.line, column: node.loc.start.column + 1 });
  const addKeys = (key: AST.TOMLKey, base: Path): Path => {
    let path = base;
    for (const part of key.keys) {
      path = [...path, part.type === "TOMLBare" ? part.name : part.value];
      const name = placeName(path);
      if (!places.has(name)) places.set(name, { key: start(part), value: undefined });
    }
    return path;
  };
  const addValue = (value: AST.TOMLContentNode, path: Path): void => {
    const name = placeName(path);
    places.set(name, { key: places.get(name)?.key ?? start(value), value: start(value) });
    if (value.type === "TOMLArray")
      for (const [index, item] of value.elements.entries()) addValue(item, [...path, index]);
    if (value.type === "TOMLInlineTable") addPairs(value.body, path);
  };
  const addPairs = (pairs: readonly AST.TOMLKeyValue[], base: Path): void => {
    for (const pair of pairs) addValue(pair.value, addKeys(pair.key, base));
  };
  try {
    for (const node of parseTOML(text, { tomlVersion: "1.1" }).body[0].body) {
      if (node.type === "TOMLTable") {
        addKeys(node.key, []);
        // In an array of tables the key alone does not say which one it is.
        const name = placeName(node.resolvedKey);
        if (!places.has(name)) places.set(name, { key: start(node.key), value: undefined });
        addPairs(node.body, node.resolvedKey);
      } else addPairs([node], []);
    }
  } catch {
    // Two parsers can disagree about a text. The problem is still told, only at a less exact place.
  }
  return places;
}

function placeName(path: Path): string {
  return JSON.stringify(path);
}

function nearest({ mistyped }: Fault): string | undefined {
  if (mistyped === undefined || mistyped.known.length === 0) return undefined;
  const plain = (word: string) => word.toLowerCase().replaceAll("-", "_");
  const word = plain(mistyped.word);
  const candidate = closest(word, mistyped.known.map(plain));
  if (distance(word, candidate) > Math.max(1, Math.floor(candidate.length / 3))) return undefined;
  return mistyped.known.find((known) => plain(known) === candidate);
}

function explain(reason: string): { message: string; expected?: string } {
  return syntaxHelp[reason] ?? { message: `this is not TOML: ${reason}` };
}

/** The parser's short reasons in words for an administrator. */
const syntaxHelp: Readonly<Record<string, { message: string; expected: string } | undefined>> = {
  "trying to redefine an already defined table or value": {
    message: "this key or table is already in the file",
    expected: "each one once",
  },
  "trying to redefine an already defined value": {
    message: "this key is already in the file",
    expected: "each one once",
  },
  "unrecognised escape sequence": {
    message: "a backslash in double quotes starts an escape, and TOML does not know this one",
    expected: "single quotes '…', in which a backslash is only a backslash, or two backslashes",
  },
  "invalid value": {
    message: "this is not a value",
    expected: "text in quotes, a number, true, false, a list in [ ] or a table in { }",
  },
  "unfinished string": { message: "the text that starts here does not end", expected: "a closing quote" },
  "unfinished array": { message: "the list that starts here does not end", expected: "a closing ]" },
  "unfinished table": { message: "the table that starts here does not end", expected: "a closing }" },
  "each key-value declaration must be followed by an end-of-line": {
    message: "there is more after the value",
    expected: "the end of the line",
  },
  "incomplete key-value: cannot find end of key": {
    message: "a key stands here without a value",
    expected: "key = value",
  },
  "control characters are not allowed in strings": {
    message: "the line ends inside a text, or the text has a control character",
    expected: "the closing quote on the same line",
  },
  "expected comma or end of structure": {
    message: "a list or table goes on wrongly",
    expected: "a comma between two items, or the closing ] or }",
  },
  "illegal character in numeric literal": {
    message: "this begins like a number and is none",
    expected: "a number, or text in quotes",
  },
  "unexpected end of key": { message: "a key is missing", expected: "a name before = and inside of [ ]" },
  "illegal character in key": {
    message: "a key cannot have this character",
    expected: "= after a key, ] after the name of a table; a key has letters, digits, _ and -, or stands in quotes",
  },
  "invalid non-hex character in unicode escape": {
    message: "\\u or \\U in double quotes starts the number of a character, and none follows",
    expected: "single quotes '…', in which a backslash is only a backslash, or two backslashes",
  },
};
