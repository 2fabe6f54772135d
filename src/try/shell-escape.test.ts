import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { capture } from "../process/capture.ts";
import { shellEscape } from "./shell-escape.ts";

test("shellEscape() writes words as the runner does", () => {
  assert.equal(shellEscape(""), "''");
  assert.equal(shellEscape("group/demo-1.x@y,z"), "group/demo-1.x@y,z");
  assert.equal(shellEscape("a b"), "$'a b'");
  assert.equal(shellEscape(`l1\nl2 'q' "dq" \\ ü`), String.raw`$'l1\nl2 \'q\' "dq" \\ \xc3\xbc'`);
  assert.equal(shellEscape("\x1b[0;m\x07"), String.raw`$'\x1b[0;m\a'`);
});

test("shellEscape() keeps any text one word with the same bytes, also inside an eval", async () => {
  const text = fc.string({ unit: "binary", maxLength: 30 }).filter((one) => !one.includes("\0"));
  await fc.assert(
    fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 20 }), async (words) => {
      const line = `printf '%s\\0' ${words.map(shellEscape).join(" ")}`;
      for (const script of [line, `eval ${shellEscape(line)}`]) {
        const { stdout } = await capture(
          { argv: ["bash", "-c", script], environment: { PATH: process.env["PATH"] ?? "" }, workingDirectory: "/" },
          { timeoutSeconds: 10 },
        );
        const wanted = words.map((one) => Buffer.from(one).toString("utf8"));
        assert.deepEqual(stdout.split("\0").slice(0, -1), wanted);
      }
    }),
    { numRuns: 15 },
  );
});
