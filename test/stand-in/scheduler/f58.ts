const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** Flux's way to write a job's number (RFC 19, F58): base 58, with a letter before it that is ASCII in an ASCII locale. */
export function toF58(id: bigint, prefix: "ƒ" | "f"): string {
  let text = "";
  for (let rest = id; rest > 0n; rest /= 58n) text = alphabet.charAt(Number(rest % 58n)) + text;
  return prefix + (text === "" ? "1" : text);
}

/** The number of a job by any of its names; undefined for what is none. */
export function fromF58(text: string): bigint | undefined {
  if (/^[0-9]+$/.test(text)) return BigInt(text);
  const [, digits] = /^[ƒf]([1-9A-HJ-NP-Za-km-z]+)$/u.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return digits.split("").reduce((sum, digit) => sum * 58n + BigInt(alphabet.indexOf(digit)), 0n);
}
