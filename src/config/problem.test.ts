import assert from "node:assert/strict";
import { test } from "node:test";
import { formatProblem, show, showPath } from "./problem.ts";

const place = { file: "/etc/jacamar.toml", line: 3, column: 7 };

test("formatProblem() puts place, key, expectation and suggestion on one line", () => {
  assert.equal(
    formatProblem({ ...place, path: "general.x", message: "is wrong", expected: "y", suggestion: "z" }),
    '/etc/jacamar.toml:3:7: general.x: is wrong; expected y; did you mean "z"?',
  );
  assert.equal(formatProblem({ ...place, path: "", message: "is wrong" }), "/etc/jacamar.toml:3:7: is wrong");
});

test("formatProblem() shows characters that could forge a log by their number", () => {
  const line = formatProblem({ ...place, path: "", message: "a\nb\u001b[2Jc\u202ed\u2028e\u0000f\ud800g" });
  assert.equal(line, "/etc/jacamar.toml:3:7: a\\u{a}b\\u{1b}[2Jc\\u{202e}d\\u{2028}e\\u{0}f\\u{d800}g");
});

test("show() quotes text, shortens it and names what is not text", () => {
  assert.equal(show('a"b'), '"a\\"b"');
  assert.equal(show("x".repeat(100)), `"${"x".repeat(80)}…"`);
  assert.deepEqual([1, true, [1], new Date(0), {}].map(show), ["1", "true", "a list", "a date", "a table"]);
});

test("showPath() writes TOML's notation and quotes unusual keys", () => {
  assert.equal(showPath(["general", "podman", "image_allowlist", 0]), "general.podman.image_allowlist[0]");
  assert.equal(showPath(["a.b", "", "tls-ca-file"]), '"a.b"."".tls-ca-file');
});
