import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

const checkout = join(import.meta.dirname, "..");
const sites = join(checkout, "examples/sites");

describe("the example for the site", () => {
  for (const site of readdirSync(sites)) {
    it(`${site} has no problem, and its runner calls the programs as they must be called`, () => {
      // As examples/README.md says, where they lie.
      const argv = ["check", "--elsewhere", "--strict", "--runner-config", "config.toml", "jacamar.toml"];
      const main = join(checkout, "src/main.ts");
      const cwd = join(sites, site);
      const ended = spawnSync(process.execPath, ["--no-warnings", main, ...argv], { cwd, encoding: "utf8" });
      assert.equal(ended.status, 0, ended.stdout + ended.stderr);
      const place = /"--configuration", "([^"]+)"/.exec(readFileSync(join(cwd, "config.toml"), "utf8"))?.[1] ?? "";
      const text = readFileSync(join(cwd, "jacamar.toml"), "utf8");
      assert.ok(text.startsWith(`# ${place}\n`), "the example says where it goes");
    });
  }
});
