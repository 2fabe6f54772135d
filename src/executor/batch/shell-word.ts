/**
 * A text as one word of shell, whatever is in it. The one way by which anything comes into a job file.
 * Throws for a NUL character, which no shell and no argument can hold.
 */
export function shellWord(text: string): string {
  if (text.includes("\0")) throw new Error("a word of shell with a NUL character");
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A list as the content of a Bash array. */
export function shellWords(list: readonly string[]): string {
  return list.map(shellWord).join(" ");
}
