import assert from "node:assert/strict";
import test from "node:test";
import { globToRegex, relativePattern } from "./glob.ts";

function matches(pattern: string, path: string): boolean {
  const regex = globToRegex(pattern);
  assert.ok(regex !== undefined, pattern);
  return new RegExp(`^${regex}$`).test(path);
}

for (const [pattern, yes, no] of [
  ["date.txt", ["date.txt"], ["date_txt", "a/date.txt", "date.txt.old"]],
  ["*.txt", ["a.txt", ".txt"], ["a/b.txt"]],
  ["out/*", ["out/a", "out/.hidden"], ["out", "out/a/b"]],
  ["**/*.o", ["a.o", "a/b/c.o"], ["a.oo"]],
  ["a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]],
  ["out/**", ["out", "out/a", "out/a/b"], ["outer"]],
  ["**", ["a", "a/b"], []],
  ["a**b", ["ab", "axxb"], ["a/b"]],
  ["?.c", ["a.c"], ["ab.c", "/.c"]],
  ["[a-c]x", ["ax", "cx"], ["dx"]],
  ["[!a]x", ["bx"], ["ax", "/x"]],
  ["{a,b/c}/*.{h,c}", ["a/x.h", "b/c/x.c"], ["b/x.h", "a/x.o"]],
  ["a{,.bak}", ["a", "a.bak"], ["a.ba"]],
  ["\\*", ["*"], ["a"]],
  ["a+(b)|c^$.d", ["a+(b)|c^$.d"], ["aab"]],
  ["ü/ß.txt", ["ü/ß.txt"], ["u/s.txt"]],
] as const) {
  test(`globToRegex() understands ${pattern}`, () => {
    for (const path of yes) assert.ok(matches(pattern, path), `${pattern} should match ${path}`);
    for (const path of no) assert.ok(!matches(pattern, path), `${pattern} should not match ${path}`);
  });
}

test("globToRegex() refuses broken patterns", () => {
  for (const pattern of ["a[b", "a{b", "a}b", "a\\"]) assert.equal(globToRegex(pattern), undefined, pattern);
});

test("relativePattern() makes patterns relative to the project and refuses what leads out", () => {
  const relative = (pattern: string) => relativePattern(pattern, "/builds/g/p");
  assert.equal(relative("out/"), "out");
  assert.equal(relative("./out//a.txt"), "out/a.txt");
  assert.equal(relative("."), ".");
  assert.equal(relative("/builds/g/p"), ".");
  assert.equal(relative("/builds/g/p/out/*.txt"), "out/*.txt");
  assert.equal(relative("a/../b/*.txt"), "b/*.txt");
  assert.equal(relative("*/"), "*");
  for (const bad of ["..", "../x", "/etc/passwd", "/builds/g/pp/x", "a/../../x", "*/../../x"]) {
    assert.equal(relative(bad), undefined, bad);
  }
});
