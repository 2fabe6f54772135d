/** Cuts a text so that it takes at most `limit` bytes between its quotes. */
export function cut(text: string, limit: number): string {
  const start = text.slice(0, limit + 1);
  if (start.length <= limit && asciiJson(start).length - 2 <= limit) return text;
  const mark = "...";
  let size = mark.length;
  let kept = "";
  for (const character of start) {
    size += asciiJson(character).length - 2;
    if (size > limit) break;
    kept += character;
  }
  return kept + mark;
}

/** Escapes everything but printable ASCII: no syslog daemon and no terminal then makes anything else of it. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Longer texts are cut anyway. */
const longestMasked = 20_000;

/**
 * Masks what looks like a JSON Web Token, a token of GitLab's (the prefixes that the runner masks, its
 * common/buildlogger/internal/tokensanitizer) or the user and password of a URL. A net below the types, no more.
 */
export function masked(text: string): string {
  return text
    .slice(0, longestMasked)
    .replace(/gl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rt|rtr|soat|tok)-[\w.=-]{8,}/g, "[MASKED]")
    .replace(/eyJ[\w-]{8,}(?:\.[\w-]*)*/g, "[MASKED]")
    .replace(/(:\/\/)[^\s/@]+@/g, "$1[MASKED]@");
}
