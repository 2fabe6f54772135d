import assert from "node:assert/strict";
import test from "node:test";
import { expandAll, expandAmongThemselves, expandValue, valueOf, variable } from "./variables.ts";

test("expandAll() expands as a real runner was seen to: once, file variables to their path, raw ones not at all", () => {
  const refers = "a $OTHER b ${OTHER} c $SECRET_FILE d $CI_PROJECT_DIR e $MISSING f $$ g %20";
  const expanded = expandAll(
    [
      variable("CI_PROJECT_DIR", "/b/demo"),
      variable("SECRET_FILE", "line1\nline2 $NOT_EXPANDED_IN_FILE? $OTHER\n", { file: true }),
      variable("SECRET_FILE_RAW", "raw $OTHER", { file: true, raw: true }),
      variable("OTHER", "other-value"),
      variable("REFERS", refers),
      variable("NESTED", "<$REFERS>"),
      variable("RAWVAR", "a $OTHER ${OTHER}", { raw: true }),
    ],
    "/b/demo.tmp",
  );
  assert.equal(valueOf(expanded, "SECRET_FILE"), "line1\nline2 ? other-value\n");
  assert.equal(valueOf(expanded, "SECRET_FILE_RAW"), "raw $OTHER");
  assert.equal(
    valueOf(expanded, "REFERS"),
    "a other-value b other-value c /b/demo.tmp/SECRET_FILE d /b/demo e  f $ g %20",
  );
  assert.equal(valueOf(expanded, "NESTED"), `<${refers}>`);
  assert.equal(valueOf(expanded, "RAWVAR"), "a $OTHER ${OTHER}");
});

test("expandValue() reads the odd forms as Go's os.Expand does", () => {
  const expand = (text: string) => expandValue(text, [variable("A", "1"), variable("2X", "no")], "/tmp");
  assert.equal(expand("$A$A"), "11");
  assert.equal(expand("${A}b$Ab"), "1b");
  assert.equal(expand("100$"), "100$");
  assert.equal(expand("$ A"), "$ A");
  assert.equal(expand("${}x"), "x");
  assert.equal(expand("${A"), "A");
  assert.equal(expand("$2X $@ $?"), "X  ");
});

test("expandAmongThemselves() expands in order of dependence and keeps what only the runner can resolve", () => {
  const expanded = expandAmongThemselves([
    variable("ALL", "$ONE ${TWO} %ONE% $UNKNOWN $$ONE $FILE $RAW"),
    variable("TWO", "2$ONE"),
    variable("ONE", "1"),
    variable("FILE", "content", { file: true }),
    variable("RAW", "$ONE", { raw: true }),
  ]);
  assert.equal(valueOf(expanded, "ALL"), "1 21 1 $UNKNOWN $$ONE $FILE $RAW");
});

test("expandAmongThemselves() leaves references that run in a circle", () => {
  const expanded = expandAmongThemselves([variable("A", "a$B"), variable("B", "b$A"), variable("S", "$S:x")]);
  assert.equal(valueOf(expanded, "S"), "$S:x");
  assert.match(valueOf(expanded, "A"), /\$A/);
});

test("valueOf() takes the last of several", () => {
  assert.equal(valueOf([variable("A", "1"), variable("A", "2")], "A"), "2");
  assert.equal(valueOf([], "A"), "");
});
