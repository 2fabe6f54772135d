import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { printable, printableLine } from "./job-log.ts";

describe("printable()", () => {
  test("keeps text, tabs and line breaks", () => {
    for (const text of ["", "a b", "a\tb\nc", "ü 日本 🙂 👩\u200d💻", "\\x1b"]) assert.equal(printable(text), text);
  });

  test("shows what could rewrite a terminal or the log", () => {
    const shown = {
      "\x1b[2K": "\\x1b[2K",
      "\r": "\\x0d",
      "a\bb": "a\\x08b",
      "\0": "\\x00",
      "\x7f": "\\x7f",
      "\x9b2K": "\\x9b2K",
      "\u202egnp.exe": "\\u202egnp.exe",
      "a\u200bb\ufeff": "a\\u200bb\\ufeff",
      "a\u2028b": "a\\u2028b",
    };
    for (const [text, expected] of Object.entries(shown)) assert.equal(printable(text), expected);
  });

  test("leaves a name on its line, where that is asked", () => {
    assert.equal(printableLine("web\nJob succeeded\r"), "web\\x0aJob succeeded\\x0d");
  });

  test("never lets a control character through", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        assert.doesNotMatch(printable(text).replaceAll(/[\n\t]/g, ""), /\p{Cc}/u);
      }),
    );
  });
});
