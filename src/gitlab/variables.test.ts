import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserVariables } from "./variables.ts";

const variables = new UserVariables({
  PATH: "/bin",
  SECRET: "runner's",
  CUSTOM_ENV_SECRET: "user's",
  CUSTOM_ENV_EMPTY: "",
  CUSTOM_ENV_V_10: "ten",
  CUSTOM_ENV_V_9: "nine",
  CUSTOM_ENV_V_100: "hundred",
  CUSTOM_ENV_V: "bare",
  CUSTOM_ENV_W_1: "other",
  V_1: "unprefixed",
  CUSTOM_ENV_CUSTOM_ENV_V_1: "twice",
  CUSTOM_ENV_toString: "t",
});

describe("UserVariables", () => {
  test("get() reads only what the runner has prefixed", () => {
    assert.deepEqual(variables.get("SECRET"), { name: "SECRET", text: "user's" });
    assert.deepEqual(variables.get("EMPTY"), { name: "EMPTY", text: "" });
    assert.equal(variables.get("PATH"), undefined);
    assert.equal(variables.get("V_1"), undefined);
    assert.equal(new UserVariables({}).get("toString"), undefined);
  });

  test("withPrefix() gives all of a prefix, and no other, in natural order", () => {
    assert.deepEqual(
      variables.withPrefix("V").map(({ name }) => name),
      ["V", "V_9", "V_10", "V_100"],
    );
    assert.deepEqual(variables.withPrefix("V_9"), [{ name: "V_9", text: "nine" }]);
    assert.deepEqual(variables.withPrefix("NOTHING"), []);
  });

  test("withPrefix() keeps a thousand in order", () => {
    const names = Array.from({ length: 1000 }, (_, index) => `V_${index}`);
    const shuffled = names.toSorted((a, b) =>
      a.split("").toReversed().join("") < b.split("").toReversed().join("") ? -1 : 1,
    );
    const many = new UserVariables(Object.fromEntries(shuffled.map((name) => [`CUSTOM_ENV_${name}`, name])));
    assert.deepEqual(
      many.withPrefix("V_").map(({ text }) => text),
      names,
    );
  });

  test("isOn() reads a switch as GitLab does", () => {
    const isOn = (text: string) => new UserVariables({ CUSTOM_ENV_X: text }).isOn("X");
    for (const text of ["true", "TRUE", "1", "yes", "on", " true\n"]) assert.ok(isOn(text), text);
    for (const text of ["", "false", "0", "no", "off", "2", "truely", "true\ntrue"]) assert.ok(!isOn(text), text);
    assert.ok(!new UserVariables({ X: "true" }).isOn("X"));
  });
});
