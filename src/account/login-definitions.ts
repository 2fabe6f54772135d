import { readFileSync } from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/** Where distributions keep it; the second is the vendor's own file where /etc has only changes (openSUSE). */
const places = ["/etc/login.defs", "/usr/etc/login.defs"];

const defaultUidMin = 1000;
/** Linux Standard Base: numbers to 99 are the distribution's. A lower UID_MIN is a slip that would let daemons in. */
const lowestUidMin = 100;

/**
 * `UID_MIN`: the least number of an account that is a person's (login.defs(5)); 1000 where nothing says so, never below 100.
 * Throws `account_unknown` when a file is there that cannot be read, or its `UID_MIN` is no number.
 */
export function readUidMin(paths: readonly string[] = places): number {
  for (const path of paths) {
    let text: string;
    try {
      text = readFileSync(path, "latin1");
    } catch (cause) {
      const code = systemErrorCode(cause);
      if (code === "ENOENT") continue;
      throw new JacamarError("account_unknown", `Cannot read "${path}": ${code ?? "unknown error"}`, { cause });
    }
    const value = lastValue(text, "UID_MIN");
    if (value !== undefined) return Math.max(lowestUidMin, toNumber(value, path));
  }
  return defaultUidMin;
}

/** The last line of a name counts (shadow's getdef.c). */
function lastValue(text: string, name: string): string | undefined {
  let value: string | undefined;
  for (const line of text.split("\n")) {
    const match = /^[ \t]*([A-Z_]+)[ \t]+"?([^"\s]*)/.exec(line);
    if (match?.[1] === name) value = match[2];
  }
  return value;
}

/** Decimal, `0x` hexadecimal, or octal with a leading 0, as strtol(3) reads it. */
function toNumber(value: string, path: string): number {
  if (/^0[0-7]+$/.test(value)) return Number.parseInt(value, 8);
  if (/^(?:0|[1-9][0-9]{0,9}|0[xX][0-9a-fA-F]{1,8})$/.test(value)) return Number(value);
  throw new JacamarError("account_unknown", `UID_MIN in "${path}" is not a number`, {
    hint: "It says which accounts are people's. Without it no job can be given to one.",
  });
}
