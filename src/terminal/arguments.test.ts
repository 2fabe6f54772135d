import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { JacamarError } from "../error/error.ts";
import { parseArguments } from "./arguments.ts";
import { checkCommand } from "./commands/check.ts";
import { initCommand } from "./commands/init.ts";
import { reportCommand } from "./commands/report.ts";
import type { CommandDescription } from "./commands/description.ts";
import { unclearCall } from "./unclear-call.ts";

describe("parseArguments() says what is wrong with", () => {
  const cases: readonly (readonly [CommandDescription, string, string])[] = [
    [checkCommand, "--strct", "There is no option --strct; did you mean --strict?"],
    [checkCommand, "--runner x", "There is no option --runner; did you mean --runner-config?"],
    [checkCommand, "--no-color", "There is no option --no-color"],
    [checkCommand, "-x file", "There is no option -x"],
    [checkCommand, "--toString", "There is no option --toString"],
    [initCommand, "--no-podmann", "There is no option --no-podmann; did you mean --no-podman?"],
    [checkCommand, "--json=yes", "--json takes no value"],
    [checkCommand, "--runner-config", "--runner-config needs a value: --runner-config FILE"],
    [reportCommand, "-o --own x", "-o needs a value, and --own looks like an option; if it is the FILE: -o--own"],
    [
      checkCommand,
      "--runner-config --json",
      "--runner-config needs a value, and --json looks like an option; if it is the FILE: --runner-config=--json",
    ],
    [checkCommand, "a b", "jacamar check takes one file, but there are 2"],
  ];
  for (const [description, line, message] of cases) {
    it(`jacamar ${description.name} ${line}`, () => {
      assert.throws(
        () => parseArguments(description, line.split(" ")),
        (error) =>
          error instanceof JacamarError &&
          error.code === "usage" &&
          error.message === message &&
          error.hint === `See: jacamar ${description.name} --help`,
      );
    });
  }
});

describe("unclearCall() says what is wrong with", () => {
  const cases: readonly (readonly ["jacamar" | "jacamar-auth", string, string])[] = [
    ["jacamar", "chek", 'There is no command "chek"; did you mean "check"?'],
    ["jacamar", "help docter", 'There is no command "docter"; did you mean "doctor"?'],
    ["jacamar", "version", 'There is no command "version"; did you mean --version?'],
    ["jacamar", "frobnicate", 'There is no command "frobnicate"'],
    ["jacamar", "--no-auth clenup", 'There is no command "clenup"; did you mean "cleanup"?'],
    ["jacamar", "--no-aut config", "There is no option --no-aut; did you mean --no-auth?"],
    ["jacamar", "--configuration x doctor", 'The command "doctor" must stand before its options: jacamar doctor …'],
    ["jacamar-auth", "check", 'There is no command "check" of jacamar-auth; it is one of jacamar\'s: jacamar check'],
    ["jacamar-auth", "--no-auth config", "There is no option --no-auth"],
  ];
  for (const [program, line, message] of cases) {
    it(`${program} ${line}`, () => {
      const error = unclearCall(program, line.split(" "));
      assert.deepEqual([error.code, error.message, error.hint], ["usage", message, `See: ${program} --help`]);
    });
  }
});
