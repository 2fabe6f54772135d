import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { signingKeys } from "./key-set.ts";
import { makeTokenKey, type Members } from "./testing/token-keys.ts";

const rsa = makeTokenKey();
const ec = makeTokenKey("ES256");
const kids = (...keys: readonly unknown[]) => signingKeys({ keys })?.map(({ kid }) => kid);

describe("signingKeys()", () => {
  test("keeps the public members of the keys that it knows", () => {
    const { use: _, ...material } = { use: 0, ...rsa.jwk };
    assert.deepEqual(signingKeys({ keys: [{ ...material, use: "sig", extra: 1 }] }), [
      { kid: rsa.kid, alg: "RS256", kty: "RSA", n: rsa.jwk.n, e: "AQAB" },
    ]);
    assert.deepEqual(kids(rsa.jwk, ec.jwk), [rsa.kid, ec.kid]);
  });

  test("takes an RSA key without an algorithm for RS256, and no other key without one", () => {
    assert.equal(signingKeys({ keys: [{ ...rsa.jwk, alg: undefined }] })?.[0]?.alg, "RS256");
    assert.deepEqual(kids({ ...ec.jwk, alg: undefined }), []);
  });

  const small = makeTokenKey("RS256", 1024);
  const dropped: readonly (readonly [what: string, key: unknown])[] = [
    ["an RSA key of 1024 bits", small.jwk],
    [
      "1024 bits behind zeros",
      {
        ...rsa.jwk,
        n: Buffer.concat([Buffer.alloc(129), Buffer.from(String(small.jwk.n), "base64url")]).toString("base64url"),
      },
    ],
    ["an RSA key of 64 kbit", { ...rsa.jwk, n: Buffer.alloc(8192, 255).toString("base64url") }],
    ["an exponent of 1", { ...rsa.jwk, e: "AQ" }],
    ["an exponent of 1 behind zeros", { ...rsa.jwk, e: "AAAB" }],
    ["an exponent of 3", { ...rsa.jwk, e: "Aw" }],
    ["an exponent of 3 behind zeros", { ...rsa.jwk, e: "AAAD" }],
    ["an even exponent", { ...rsa.jwk, e: "AQAC" }],
    ["a huge exponent", { ...rsa.jwk, e: Buffer.alloc(64, 255).toString("base64url") }],
    ["a key for encryption", { ...rsa.jwk, use: "enc" }],
    ["a key that may only sign", { ...rsa.jwk, key_ops: ["sign"] }],
    ["a private key", { ...rsa.jwk, d: "AQAB" }],
    ["a secret", { kid: "x", kty: "oct", alg: "HS256", k: "c2VjcmV0" }],
    ["an RSA key for HS256", { ...rsa.jwk, alg: "HS256" }],
    ["an RSA key for none", { ...rsa.jwk, alg: "none" }],
    ["an RSA key for RS1", { ...rsa.jwk, alg: "RS1" }],
    ["an RSA key with a secret in it", { ...rsa.jwk, k: "c2VjcmV0" }],
    ["an RSA key for ES256", { ...rsa.jwk, alg: "ES256" }],
    ["a key on a curve for RS256", { ...ec.jwk, alg: "RS256" }],
    ["a curve that does not go with the algorithm", { ...ec.jwk, alg: "ES384" }],
    ["a curve that is not one of NIST's", { ...ec.jwk, crv: "secp256k1" }],
    ["a short coordinate", { ...ec.jwk, x: "AQAB" }],
    ["a key without an id", { ...rsa.jwk, kid: undefined }],
    ["a key with an empty id", { ...rsa.jwk, kid: "" }],
    ["a key with a number for its id", { ...rsa.jwk, kid: 1 }],
    ["a key with a long id", { ...rsa.jwk, kid: "k".repeat(257) }],
    ["a modulus that is no base64url", { ...rsa.jwk, n: `${String(rsa.jwk.n)}=` }],
    ["no object", "key"],
    ["null", null],
  ];
  for (const [what, key] of dropped) {
    test(`leaves out ${what}`, () => assert.deepEqual(kids(key, ec.jwk), [ec.kid]));
  }

  test("keeps one of two that are the same, and none of several that differ under one id", () => {
    const other: Members = { ...makeTokenKey().jwk, kid: rsa.kid };
    assert.deepEqual(kids(rsa.jwk, rsa.jwk), [rsa.kid]);
    assert.deepEqual(kids(rsa.jwk, other), []);
    assert.deepEqual(kids(rsa.jwk, other, rsa.jwk, ec.jwk), [ec.kid]);
    assert.deepEqual(kids(rsa.jwk, { ...rsa.jwk, alg: "RS512" }), []);
  });

  test("tells what is no list of keys from an empty one", () => {
    for (const none of [null, 1, "x", [], {}, { keys: {} }, { keys: null }, { keys: Array(101).fill(rsa.jwk) }]) {
      assert.equal(signingKeys(none), undefined);
    }
    assert.deepEqual(signingKeys({ keys: [] }), []);
  });

  test("is never surprised", () => {
    const member = fc.oneof(fc.jsonValue(), fc.constantFrom(...Object.values(rsa.jwk), "sig", "EC", "ES256", "P-256"));
    const key = fc.dictionary(
      fc.constantFrom("kty", "kid", "alg", "n", "e", "crv", "x", "y", "use", "d", "__proto__"),
      member,
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.record({ keys: fc.array(key) })), (jwks) => {
        for (const found of signingKeys(jwks) ?? []) assert.match(found.alg, /^(RS|PS|ES)(256|384|512)$/);
      }),
    );
  });
});
