import * as v from "valibot";

/** Algorithms with a public key. None of them can be checked with a secret, and `none` is not among them. */
const rsaAlgorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const;
/** Each goes with one curve and no other (RFC 7518, 3.4). */
const curves = { ES256: "P-256", ES384: "P-384", ES512: "P-521" } as const;
const coordinateBytes = { "P-256": 32, "P-384": 48, "P-521": 66 } as const;

/** More keys than any server publishes. */
const mostKeys = 100;
/** A key of more bits would make each verification slow; no server has one. */
const mostModulusBits = 8192;
const fewestModulusBits = 2048;
/** Longest `kid`; GitLab's is the 43 characters of a thumbprint. */
export const longestKeyId = 256;

const keyId = v.pipe(v.string(), v.nonEmpty(), v.maxLength(longestKeyId));

const rsaKey = v.pipe(
  v.object({
    kid: keyId,
    alg: v.optional(v.picklist(rsaAlgorithms), "RS256"),
    kty: v.literal("RSA"),
    n: v.pipe(v.string(), v.check(isGoodModulus)),
    e: v.pipe(v.string(), v.check(isGoodExponent)),
  }),
  v.readonly(),
);

const ecKey = v.pipe(
  v.object({
    kid: keyId,
    // RS256 is what a token has unless the key says otherwise, so a key on a curve must say it.
    alg: v.picklist(["ES256", "ES384", "ES512"]),
    kty: v.literal("EC"),
    crv: v.picklist(["P-256", "P-384", "P-521"]),
    x: v.string(),
    y: v.string(),
  }),
  v.check((key) => curves[key.alg] === key.crv && isCoordinate(key.x, key.crv) && isCoordinate(key.y, key.crv)),
  v.readonly(),
);

const signingKey = v.union([rsaKey, ecKey]);

/** A public key that a server signs tokens with, as a JWK of its public members, and the one algorithm that it is for. */
export type SigningKey = v.InferOutput<typeof signingKey>;

/** What a key of a document may say beside its material; any of these takes it out. */
const useOfKey = v.object({
  use: v.optional(v.literal("sig")),
  key_ops: v.optional(v.pipe(v.array(v.string()), v.includes("verify"))),
  // A private key that is public, or a secret, signs for everybody.
  d: v.optional(v.undefined()),
  k: v.optional(v.undefined()),
});

const document = v.object({ keys: v.pipe(v.array(v.unknown()), v.maxLength(mostKeys)) });

/**
 * The keys of a JWK set (RFC 7517) that may verify a token: public, for signatures, RSA of 2048 bits and more or a NIST
 * curve, each for one algorithm. Other keys are left out. So are keys that differ under the same `kid`: none of them is
 * the one meant.
 *
 * @returns undefined when it is no JWK set at all
 */
export function signingKeys(jwks: unknown): SigningKey[] | undefined {
  const parsed = v.safeParse(document, jwks);
  if (!parsed.success) return undefined;
  const byId = new Map<string, SigningKey | "ambiguous">();
  for (const candidate of parsed.output.keys) {
    const key = v.safeParse(signingKey, candidate);
    if (!key.success || !v.is(useOfKey, candidate)) continue;
    const known = byId.get(key.output.kid);
    byId.set(key.output.kid, known === undefined || isSame(known, key.output) ? key.output : "ambiguous");
  }
  return [...byId.values()].filter((key) => key !== "ambiguous");
}

function isSame(known: SigningKey | "ambiguous", key: SigningKey): boolean {
  return known !== "ambiguous" && JSON.stringify(known) === JSON.stringify(key);
}

function isGoodModulus(text: string): boolean {
  const bytes = decode(text);
  const first = bytes?.[0];
  if (bytes === undefined || first === undefined || first === 0) return false;
  const bits = bytes.length * 8 - (Math.clz32(first) - 24);
  return bits >= fewestModulusBits && bits <= mostModulusBits;
}

/** Odd, and more than 2^16 (FIPS 186-5): an exponent of 1 would make every signature a valid one. */
function isGoodExponent(text: string): boolean {
  const bytes = decode(text);
  if (bytes === undefined || bytes.length < 3 || bytes.length > 6) return false;
  const value = bytes.readUIntBE(0, bytes.length);
  return value > 2 ** 16 && value % 2 === 1;
}

function isCoordinate(text: string, curve: keyof typeof coordinateBytes): boolean {
  return decode(text)?.length === coordinateBytes[curve];
}

function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}
