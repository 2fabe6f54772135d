const secondsOf: Readonly<Record<string, number>> = {
  s: 1,
  sec: 1,
  second: 1,
  m: 60,
  min: 60,
  minute: 60,
  h: 3600,
  hr: 3600,
  hour: 3600,
  d: 86_400,
  day: 86_400,
  w: 604_800,
  wk: 604_800,
  week: 604_800,
  mo: 2_592_000,
  month: 2_592_000,
  y: 31_557_600,
  yr: 31_557_600,
  year: 31_557_600,
};

/**
 * The seconds of a duration as GitLab writes them: `3 hours 30 minutes`, `1h 30m`, `90 sec and 5s`; a bare number is
 * seconds. Undefined when the text is none.
 */
export function parseGitlabDuration(text: string): number | undefined {
  const words = text
    .trim()
    .toLowerCase()
    .replaceAll(/,|\band\b/g, " ");
  if (/^\d+$/.test(words)) return Number(words);
  const part = /\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*/y;
  let seconds = 0;
  while (part.lastIndex < words.length) {
    const match = part.exec(words);
    if (match === null) return undefined;
    const unit = match[2] ?? "";
    const factor = secondsOf[unit] ?? (unit.endsWith("s") ? secondsOf[unit.slice(0, -1)] : undefined);
    if (factor === undefined) return undefined;
    seconds += Number(match[1]) * factor;
  }
  return words.trim() === "" ? undefined : Math.round(seconds);
}

/** The seconds of a duration as Go writes it, `5m`, `1h30m`, `1.5s`, `300ms`; undefined when the text is none. */
export function parseGoDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return text === "0" ? 0 : undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    seconds += Number(amount) * (unit === "ms" ? 0.001 : (secondsOf[unit ?? ""] ?? 0));
  }
  return seconds;
}

/** Seconds as Go prints a duration, `1h0m0s`, as it stands in job logs. */
export function goDuration(seconds: number): string {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (hours > 0) return `${hours}h${minutes}m${rest}s`;
  return minutes > 0 ? `${minutes}m${rest}s` : `${rest}s`;
}
