import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseJob } from "../gitlab/job.ts";
import { UserVariables } from "../gitlab/variables.ts";
import { registryAuthFile } from "./job-files.ts";

const workspace = {
  base: "/b",
  buildsBase: "/b",
  buildsDir: "/b/builds",
  cacheDir: "/b/cache",
  projectCacheDir: "/b/cache/p",
  projectDir: "/b/builds/p",
  scriptsDir: "/b/scripts/1",
  privateDir: "/b/scripts/1.private",
};

function choose(text: string | undefined, variables: { key: string; value: string; file: boolean }[] = []) {
  const job = parseJob(JSON.stringify({ id: 1, token: "T", job_info: { project_id: 2 }, git_info: {}, variables }));
  const environment = text === undefined ? {} : { CUSTOM_ENV_REGISTRY_AUTH_FILE: text };
  return registryAuthFile(new UserVariables(environment), job, workspace);
}

describe("registryAuthFile()", () => {
  test("is our own file where the user names none", () => {
    const ours = { path: "/b/scripts/1/auth.json", content: { kind: "joined" } };
    for (const text of [undefined, "", " \n"]) assert.deepEqual(choose(text), ours);
  });

  test("is the file that the user names", () => {
    assert.deepEqual(choose(" /home/a/auth.json\n"), { path: "/home/a/auth.json", content: undefined });
  });

  test("is a file of ours with what a variable of type file holds", () => {
    const given = (text: string) => ({ path: "/b/scripts/1/registry-auth.json", content: { kind: "given", text } });
    const file = { key: "REGISTRY_AUTH_FILE", value: "", file: true };
    assert.deepEqual(choose(' {"auths":{}}'), given(' {"auths":{}}'));
    assert.deepEqual(choose("anything", [file]), given("anything"));
    assert.deepEqual(choose("/path", [file, { ...file, file: false }]), { path: "/path", content: undefined });
  });

  test("refuses what is neither, and does not repeat it", () => {
    for (const text of ["auth.json", "~/auth.json", "/a\nb", "secret"]) {
      assert.throws(() => choose(text), {
        code: "registry_auth_invalid",
        message: /^The variable REGISTRY_AUTH_FILE is not/,
      });
    }
  });
});
