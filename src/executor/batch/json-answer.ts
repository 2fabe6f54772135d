/**
 * The JSON document in what a program printed; undefined when there is none. Words that stand before it, such as a warning, are passed over.
 */
export function readJson(text: string): unknown {
  const start = text.indexOf("{");
  if (start === -1) return undefined;
  try {
    return JSON.parse(text.slice(start));
  } catch {
    return undefined;
  }
}
