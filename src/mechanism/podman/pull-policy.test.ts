import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { choosePullPolicies, type PullPolicy, toPullPolicy } from "./pull-policy.ts";

describe("choosePullPolicies()", () => {
  const table: [asked: string[], configured: PullPolicy | undefined, tried: PullPolicy[]][] = [
    [[], undefined, ["always"]],
    [[], "never", ["never"]],
    [[], "missing", ["missing"]],
    [["if-not-present"], undefined, ["missing"]],
    [["missing"], undefined, ["missing"]],
    [["newer"], undefined, ["newer"]],
    [["always", "if-not-present"], undefined, ["always", "missing"]],
    [["always", "always"], undefined, ["always", "always"]],
    [["always"], "always", ["always"]],
    [["never", "if-not-present"], "missing", ["missing"]],
  ];
  for (const [asked, configured, tried] of table) {
    test(`tries ${tried.join(", ")} where the job asks for [${asked.join(", ")}] and the site for ${configured}`, () => {
      assert.deepEqual(choosePullPolicies(asked, configured, "x"), tried);
    });
  }

  test("refuses what the site does not allow, naming both", () => {
    assert.throws(() => choosePullPolicies(["never", "if-not-present"], "always", "x:1"), {
      code: "pull_policy_refused",
      message: /never, missing for the image "x:1", but the administrator allows only always/,
    });
  });

  for (const word of ["", "Always", "alway", "toString", "__proto__", "always "]) {
    test(`refuses the word ${JSON.stringify(word)}`, () => {
      assert.throws(() => choosePullPolicies(["always", word], "always", "x"), { code: "image_options_invalid" });
      assert.equal(toPullPolicy(word), undefined);
    });
  }
});
