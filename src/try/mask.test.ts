import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Mask } from "./mask.ts";

function masked(secrets: readonly string[], chunks: readonly (string | Buffer)[]): string {
  const mask = new Mask(secrets);
  const out = chunks.map((chunk) => mask.push(Buffer.from(chunk)));
  return Buffer.concat([...out, mask.end()]).toString();
}

test("Mask hides secrets, the longest that fits first", () => {
  assert.equal(masked(["abc", "abcdef"], ["x abc abcdef y"]), "x [MASKED] [MASKED] y");
  assert.equal(masked([], ["as it is"]), "as it is");
  assert.equal(masked([""], ["as it is"]), "as it is");
  assert.equal(masked(["a.c"], ["abc a.c"]), "abc [MASKED]");
  assert.equal(masked(["geheimnüß"], ["ein geheimnüß!"]), "ein [MASKED]!");
});

test("Mask hides a secret that chunk borders cut", () => {
  assert.equal(masked(["secret"], ["se", "cre", "t!"]), "[MASKED]!");
  assert.equal(masked(["secret", "cretin"], ["sec", "retin"]), "[MASKED]in");
  assert.equal(masked(["aab"], ["aa", "ab"]), "a[MASKED]");
});

test("Mask holds back only what may be the start of a secret", () => {
  const mask = new Mask(["secret"]);
  assert.equal(mask.push(Buffer.from("prompt> ")).toString(), "prompt> ");
  assert.equal(mask.push(Buffer.from("sec")).toString(), "");
  assert.equal(mask.push(Buffer.from("ond")).toString(), "second");
});

test("Mask gives the same for any division into chunks, and never a secret", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(letters, { minLength: 1, maxLength: 3 }),
      fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c", " "), maxLength: 6 }), { maxLength: 12 }),
      (secrets, chunks) => {
        const pieces = masked(secrets, chunks);
        assert.equal(pieces, masked(secrets, [chunks.join("")]));
        for (const part of pieces.split("[MASKED]")) {
          for (const secret of secrets) assert.ok(!part.includes(secret), `${secret} in ${pieces}`);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("Mask leaves bytes alone that are no UTF-8", () => {
  const mask = new Mask(["secret"]);
  const bytes = Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x0a]);
  assert.deepEqual(Buffer.concat([mask.push(bytes), mask.end()]), bytes);
});
