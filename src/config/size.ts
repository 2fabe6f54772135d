import * as v from "valibot";

/** An amount of disk in bytes, a whole number. */
export type Bytes = number & v.Brand<"Bytes">;

/** What a message says that a size has to be. */
export const sizeExpected = 'a size in quotes with a unit, such as "20GiB"';

/** In order, each 1024 times the one before. */
const units = ["B", "KiB", "MiB", "GiB", "TiB"];
const whole = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)$/;

/** A size of the configuration file as bytes; a fraction of a byte is dropped. */
export function sizeSchema() {
  return v.pipe(
    v.string(sizeExpected),
    v.regex(whole, sizeExpected),
    v.transform(toBytes),
    v.maxValue(Number.MAX_SAFE_INTEGER, "at most 8191TiB"),
    v.brand("Bytes"),
  );
}

/** A size in the notation of the configuration file, exactly: it reads as the same number again. */
export function exactSize(bytes: number): string {
  return `${bytes}B`;
}

function toBytes(text: string): number {
  const [, number = "", unit = ""] = whole.exec(text) ?? [];
  return Math.floor(Number(number) * 1024 ** units.indexOf(unit));
}
