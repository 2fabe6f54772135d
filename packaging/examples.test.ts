import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

const checkout = join(import.meta.dirname, "..");
const sites = join(checkout, "examples/sites");

describe("the example for the site", () => {
  for (const site of readdirSync(sites)) {
    it(`${site} has no problem, and its runner calls the programs as they must be called`, () => {
      const directory = mkdtempSync(join(tmpdir(), "jacamar-example-"));
      try {
        // The runner names the file by the place that it will have.
        const file = join(directory, "jacamar.toml");
        const runner = readFileSync(join(sites, site, "config.toml"), "utf8");
        const place = /"--configuration", "([^"]+)"/.exec(runner)?.[1] ?? "";
        writeFileSync(file, readFileSync(join(sites, site, "jacamar.toml")));
        writeFileSync(join(directory, "config.toml"), runner.replaceAll(`"${place}"`, JSON.stringify(file)));
        const argv = ["check", "--elsewhere", "--strict", "--runner-config", join(directory, "config.toml"), file];
        const main = join(checkout, "src/main.ts");
        const ended = spawnSync(process.execPath, ["--no-warnings", main, ...argv], { encoding: "utf8" });
        assert.equal(ended.status, 0, ended.stdout + ended.stderr);
        assert.ok(readFileSync(file, "utf8").startsWith(`# ${place}\n`), "the example says where it goes");
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  }
});
