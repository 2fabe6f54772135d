import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { toStage } from "./stage.ts";

describe("toStage()", () => {
  const known: [string, "user" | "runner", boolean][] = [
    ["prepare_script", "runner", false],
    ["get_sources", "runner", false],
    ["clear_worktree", "runner", false],
    ["restore_cache", "runner", false],
    ["download_artifacts", "runner", false],
    ["build_script", "user", true],
    ["step_script", "user", true],
    ["step_release", "user", true],
    ["after_script", "user", false],
    ["archive_cache", "runner", false],
    ["archive_cache_on_failure", "runner", false],
    ["upload_artifacts_on_success", "runner", false],
    ["upload_artifacts_on_failure", "runner", false],
    ["cleanup_file_variables", "runner", false],
    ["a_stage_of_tomorrow", "runner", false],
    ["Build_Script", "runner", false],
    ["", "runner", false],
  ];
  for (const [name, owner, isStep] of known) {
    test(`takes ${JSON.stringify(name)} for a stage of the ${owner}`, () => {
      const stage = toStage(name);
      assert.deepEqual([stage.name, stage.owner, stage.isStep], [name, owner, isStep]);
    });
  }

  test("keeps the name of an ordinary stage as its file's", () => {
    assert.equal(toStage("build_script").fileName, "build_script");
    assert.equal(toStage("step_release-1.0").fileName, "step_release-1.0");
  });

  test("makes a plain file name of a hostile one", () => {
    const hostile = [
      "../../etc/x",
      "a/b",
      ".",
      "..",
      ".hidden",
      "-rf",
      "a b",
      "a\nb",
      "build_script\n",
      "$(id)",
      "'",
      "ü",
    ];
    for (const name of [...hostile, "step_../x", "x".repeat(10_000), "\0"]) {
      assert.match(toStage(name).fileName, /^stage-[0-9a-f]{0,100}$/, JSON.stringify(name));
    }
    assert.notEqual(toStage("a b").fileName, toStage("a/b").fileName);
  });

  test("never gives a file name that is more than a name", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        assert.match(toStage(name).fileName, /^[A-Za-z0-9][A-Za-z0-9_.-]{0,110}$/);
      }),
    );
  });
});
