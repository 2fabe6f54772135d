import * as v from "valibot";

/** A length of time in seconds; fractions are allowed down to a nanosecond. */
export type Seconds = number & v.Brand<"Seconds">;

/** What a message says that a duration has to be. */
export const durationExpected = 'a duration in quotes with a unit, such as "120s", "2m" or "1h30m"';

const nanosecondsPerUnit: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  "\u00b5s": 1e3,
  "\u03bcs": 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g;
const whole = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/;
/** Node's timers end at 2^31 milliseconds, which is a little more. */
const longest = 480 * 3600;

/** A duration of the configuration file as seconds: Go's notation (`time.ParseDuration`) without a sign. */
export function durationSchema() {
  return v.pipe(
    v.string(durationExpected),
    v.regex(whole, durationExpected),
    v.transform(toSeconds),
    v.maxValue(longest, "at most 480h (20 days)"),
    v.brand("Seconds"),
  );
}

/** The seconds that a duration such as `1h30m` stands for, or undefined when it is none. */
export function parseDuration(text: string): Seconds | undefined {
  const result = v.safeParse(durationSchema(), text);
  return result.success ? result.output : undefined;
}

/** A duration in the notation of the configuration file: `parseDuration` gives back the same number. */
export function formatDuration(seconds: number): string {
  return `${seconds.toFixed(9).replace(/\.?0+$/, "")}s`;
}

function toSeconds(text: string): number {
  let nanoseconds = 0;
  for (const [, count, unit] of text.matchAll(part)) {
    nanoseconds += Number(count) * (nanosecondsPerUnit[unit ?? ""] ?? Number.NaN);
  }
  return Math.round(nanoseconds) / 1e9;
}
