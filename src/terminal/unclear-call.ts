import { JacamarError } from "../error/error.ts";
import { commands } from "./commands.ts";
import { jacamarAuthProgram, jacamarProgram, type ProgramDescription } from "./commands/programs.ts";
import { didYouMean } from "./nearest.ts";
import { wrongOption } from "./wrong-option.ts";

/** What is wrong with a call of a program that it does not understand: `usage`. */
export function unclearCall(name: "jacamar" | "jacamar-auth", argv: readonly string[]): JacamarError {
  const program: ProgramDescription = name === "jacamar" ? jacamarProgram : jacamarAuthProgram;
  const message = wrongOption(program.options, argv, false) ?? wrongCommand(program, argv);
  return new JacamarError("usage", message, { hint: `See: ${name} --help` });
}

function wrongCommand({ name, calls, options }: ProgramDescription, argv: readonly string[]): string {
  const stages = calls.map(({ call }) => call.split(" ")[0] ?? "");
  const people = Object.keys(commands);
  const words = argv.filter((word) => !word.startsWith("-") && word !== "help");
  const command = words.find((word) => people.includes(word)) ?? words[0] ?? "";
  if (people.includes(command)) {
    return name === "jacamar"
      ? `The command "${command}" must stand before its options: jacamar ${command} …`
      : `There is no command "${command}" of ${name}; it is one of jacamar's: jacamar ${command}`;
  }
  const known = [...stages, ...(name === "jacamar" ? people : [])];
  const hint = Object.hasOwn(options, command) ? `; did you mean --${command}?` : didYouMean(command, known);
  return `There is no command "${command}"${hint}`;
}
