import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { workTrees } from "./work-trees.ts";

const workspace = { buildsDir: "/data/builds/token/000", projectDir: "/data/builds/token/000/group/demo" };

function other(text: string): string[] {
  return workTrees(workspace, { name: "RUNNER_TEMP_PROJECT_DIR", text }).slice(1);
}

describe("workTrees()", () => {
  test("names the project's own alone, when the job has no other", () => {
    assert.deepEqual(workTrees(workspace, undefined), [workspace.projectDir]);
    assert.deepEqual(other(`${workspace.projectDir}.tmp`), []);
  });

  test("names the one that the job chose", () => {
    assert.deepEqual(other(`${workspace.projectDir}-empty.tmp`), [`${workspace.projectDir}-empty`]);
    assert.deepEqual(other(`${workspace.buildsDir}/my dir/x.tmp`), [`${workspace.buildsDir}/my dir/x`]);
  });

  test("names nothing that is not below the builds directory", () => {
    const { buildsDir } = workspace;
    const values = ["", ".tmp", "/etc.tmp", "x.tmp", `${buildsDir}/x`, `${buildsDir}.tmp`, `${buildsDir}/.tmp`];
    const ways = [
      `${buildsDir}/../x.tmp`,
      `${buildsDir}/a/../../x.tmp`,
      `${buildsDir}//x.tmp`,
      `${buildsDir}/a/./x.tmp`,
    ];
    for (const text of [...values, ...ways, `${buildsDir}/x\0.tmp`, `${buildsDir}x/y.tmp`]) {
      assert.deepEqual(other(text), [], text);
    }
  });
});
