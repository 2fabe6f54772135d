import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { programOptions } from "../src/command/call.ts";
import { checks } from "../src/doctor/checks.ts";
import { commands } from "../src/terminal/commands.ts";
import { doctorCommand } from "../src/terminal/commands/doctor.ts";
import type { Options } from "../src/terminal/commands/description.ts";
import { jacamarAuthProgram, jacamarProgram } from "../src/terminal/commands/programs.ts";
import { helpText } from "../src/terminal/help.ts";
import { jacamarAuthHelp, jacamarHelp } from "../src/terminal/program-help.ts";

describe("the descriptions of the commands", () => {
  it("have every option of the programs, and no other", () => {
    const described = { ...jacamarProgram.options, ...jacamarAuthProgram.options };
    const form = (options: Readonly<Record<string, { type: string; short?: string }>>) =>
      Object.entries(options)
        .map(([name, { type, short }]) => `${name} ${type} ${short ?? ""}`)
        .toSorted();
    assert.deepEqual(form(described), form(programOptions));
  });

  it("are all that the commands take: only they go to Node's parser", () => {
    const source = join(import.meta.dirname, "../src");
    const files = globSync("**/*.ts", { cwd: source }).filter(
      (name) => /\bparseArgs\(/.test(readFileSync(join(source, name), "utf8")) && !name.endsWith(".test.ts"),
    );
    assert.deepEqual(files.toSorted(), ["command/call.ts", "terminal/arguments.ts", "terminal/wrong-option.ts"]);
  });

  it("are complete: a value has a name, and a text for people has no full stop", () => {
    for (const [name, command] of Object.entries(commands)) {
      assert.equal(command.name, name);
      const options: Options = { ...command.options, ...jacamarProgram.options, ...jacamarAuthProgram.options };
      assert.ok("help" in command.options);
      for (const [option, description] of Object.entries(options)) {
        assert.equal(description.value !== undefined, description.type === "string", `${name} --${option}`);
        assert.doesNotMatch(description.summary, /\.$/, `${name} --${option}`);
      }
    }
  });

  it("name the checks that there are", () => {
    assert.deepEqual(
      doctorCommand.options.check.completes.words,
      checks.map(({ name }) => name),
    );
  });

  it("fit a terminal", () => {
    const texts = [jacamarHelp(), jacamarAuthHelp(), ...Object.values(commands).map(helpText)];
    for (const line of texts.join("\n").split("\n")) {
      // An example is for copying, so it stays whole.
      assert.ok(line.length <= 100 || /^ {4}\S/.test(line) || !line.trim().includes(" "), line);
      assert.ok(!line.includes("`"), line);
    }
  });

  it("are listed by jacamar --help", () => {
    for (const { name, summary } of Object.values(commands)) {
      assert.match(jacamarHelp(), new RegExp(`^  ${name} .*${summary}`, "m"));
    }
  });
});
