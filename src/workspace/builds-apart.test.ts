import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { requireBuildsApart } from "./builds-apart.ts";
import type { Workspace } from "./layout.ts";

describe("requireBuildsApart()", () => {
  let base = "";
  before(() => {
    base = mkdtempSync(join(tmpdir(), "jacamar-apart-"));
    for (const name of ["scripts/t/000", "cache/t/000", "builds/t/000", "mine/t/000", "run"]) {
      mkdirSync(join(base, name), { recursive: true });
    }
    symlinkSync(join(base, "scripts"), join(base, "mine", "link"));
  });
  after(() => rmSync(base, { recursive: true }));

  function workspace(buildsBase: string, buildsDir: string): Workspace {
    const [scripts, cache] = [`${base}/scripts/t/000/g/p`, `${base}/cache`];
    return {
      base,
      buildsBase: `${base}${buildsBase}`,
      buildsDir: `${base}${buildsDir}`,
      cacheDir: cache,
      projectCacheDir: `${cache}/g/p`,
      projectDir: `${base}${buildsDir}/g/p`,
      scriptsDir: `${scripts}/1`,
      privateDir: `${scripts}/1.private`,
    };
  }

  const apart: [buildsBase: string, buildsDir: string][] = [
    ["", "/builds/t/000"],
    ["/mine", "/mine/t/000"],
    ["/builds", "/builds/t/000"],
    ["/mine", "/mine/not/there"],
  ];
  for (const [root, directory] of apart) {
    test(`lets ${directory} be, which was asked for as ${root || "nothing"}`, () => {
      requireBuildsApart(workspace(root, directory));
    });
  }

  const shared: [buildsBase: string, buildsDir: string][] = [
    ["/scripts", "/scripts/t/000"],
    ["/scripts/t/000", "/scripts/t/000"],
    ["", "/scripts/t"],
    ["/cache", "/cache/t/000"],
    ["/run", "/run"],
    ["/mine/link", "/mine/link/t/000"],
    // What is above them holds them.
    ["/..", ""],
  ];
  for (const [root, directory] of shared) {
    test(`refuses ${directory || "the directory of all"}`, () => {
      assert.throws(() => requireBuildsApart(workspace(root, directory)), { code: "builds_dir_invalid" });
    });
  }
});
