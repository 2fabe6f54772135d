import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chooseRuntime } from "./choose-runtime.ts";

describe("chooseRuntime()", () => {
  it("names the other one where it is there, for the user", () => {
    const { by, command } = chooseRuntime("/usr/bin/crun", (program) => program === "runc");
    assert.equal(by, "user");
    assert.match(command, /runtime = "runc"/);
    assert.match(command, / > ~\/\.config\/containers\/containers\.conf\.d\/runtime\.conf$/);
  });

  it("has it installed first where it is not", () => {
    const missing = chooseRuntime("crun", (program) => program === "crun");
    assert.deepEqual(missing, { by: "root", command: "apt-get install runc || dnf install runc" });
  });

  it("takes either for one that nobody knows", () => {
    assert.match(chooseRuntime("kata", () => true).command, /runtime = "crun"/);
    assert.match(chooseRuntime("kata", () => false).command, /install crun/);
  });
});
