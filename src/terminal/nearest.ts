import { closest, distance } from "fastest-levenshtein";

/** `; did you mean "check"?` for a word that may be a known one mistyped, or nothing. `marked` writes the known one. */
export function didYouMean(
  word: string,
  known: readonly string[],
  marked = (name: string): string => JSON.stringify(name),
): string {
  if (word === "" || known.length === 0) return "";
  const start = known.find((name) => word.length > 2 && name.startsWith(word));
  const best = start ?? closest(word, known);
  const far = start === undefined && distance(word, best) > Math.max(1, Math.floor(best.length / 3));
  return far ? "" : `; did you mean ${marked(best)}?`;
}
