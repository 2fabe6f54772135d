import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { keysOf } from "../../src/config/kinds.ts";
import { configSchema } from "../../src/config/schema.ts";
import { commands } from "../../src/terminal/commands.ts";
import { jacamarAuthProgram, jacamarProgram } from "../../src/terminal/commands/programs.ts";
import { configurationPage } from "./configuration-page.ts";
import { jacamarAuthPage, jacamarPage } from "./program-pages.ts";
import { styled } from "./roff.ts";

const date = new Date("2026-11-25T12:00:00Z");
const pages = {
  "jacamar.1": jacamarPage(date),
  "jacamar-auth.8": jacamarAuthPage(date),
  "jacamar.toml.5": configurationPage(date),
} as const;
const skip = spawnSync("mandoc", ["-v"]).error === undefined ? false : "mandoc is not installed";

const groffMissing = spawnSync("groff", ["--version"]).error === undefined ? false : "groff is not installed";

describe("the manual", { skip }, () => {
  for (const [name, page] of Object.entries(pages)) {
    it(`${name} has no mistake`, () => {
      const { stdout, stderr } = spawnSync("mandoc", ["-T", "lint", "-W", "warning"], {
        input: page,
        encoding: "utf8",
      });
      const complaints = (stdout + stderr).split("\n").filter((line) => line !== "" && !line.includes("STYLE:"));
      assert.deepEqual(complaints, []);
    });
  }

  it("is set without a warning and without a broken word, as man-db does", { skip: groffMissing }, () => {
    for (const [name, page] of Object.entries(pages)) {
      const letters = (width: number): string => {
        const options = ["-Kutf8", "-man", "-ww", "-Tutf8", "-P-c", "-P-b", "-P-u", "-rcR=1", `-rLL=${width}n`];
        const { stdout, stderr } = spawnSync("groff", options, { input: page, encoding: "utf8" });
        assert.equal(stderr, "", name);
        return stdout.replaceAll(/\s+/g, "");
      };
      // A hyphen at the end of a line would be one more letter.
      assert.equal(letters(70), letters(500), name);
    }
  });

  it("tells of every command and every option", () => {
    const text = shown(pages["jacamar.1"]);
    for (const { name, options } of Object.values(commands)) {
      assert.ok(text.includes(`jacamar ${name} [options]`), name);
      for (const option of Object.keys(options)) assert.ok(text.includes(`--${option}`), `${name} --${option}`);
    }
    for (const option of Object.keys(jacamarProgram.options)) assert.ok(text.includes(`--${option}`), option);
    const auth = shown(pages["jacamar-auth.8"]);
    for (const option of Object.keys(jacamarAuthProgram.options)) assert.ok(auth.includes(`--${option}`), option);
  });

  it("tells of every key", () => {
    const text = shown(pages["jacamar.toml.5"]);
    for (const [table, schema] of keysOf(configSchema) ?? []) {
      for (const [key, value] of keysOf(schema) ?? []) {
        assert.ok(text.includes(keysOf(value) === undefined ? `${key} (` : `[${table}.${key}]`), `${table}.${key}`);
      }
    }
  });

  it("shows a text as it is, whatever roff makes of its characters", () => {
    const text = "a\\b -c 'd' ~e ^f `.g` \"h\" \\fBi";
    const seen = shown(`.TH A 1 2026-11-25\n.SH NAME\na \\- b\n.SH X\n${styled(text)}\n.PP\n${styled(".j 'k")}\n`);
    assert.ok(seen.includes("a\\b -c 'd' ~e ^f .g \"h\" \\fBi"), seen);
    assert.ok(seen.includes(".j 'k"), seen);
  });
});

/** What a reader sees of a page, without the overstrikes of bold text and on long lines. */
function shown(page: string): string {
  const text = execFileSync("mandoc", ["-T", "utf8", "-O", "width=1000"], { input: page, encoding: "utf8" });
  return text.replaceAll(new RegExp(`.${String.fromCharCode(8)}`, "g"), "");
}
