import type { Completion, OptionDescription, Options } from "../../src/terminal/commands/description.ts";
import { type CompletedProgram, plain } from "./model.ts";

/** The completion of a program for fish. */
export function fishCompletion(program: CompletedProgram): string {
  const names = program.commands.map((command) => command.name).join(" ");
  const before = `not __fish_seen_subcommand_from ${names}`;
  const lines = [
    `# Completion of ${program.name} for fish. Made by packaging/completions/ from src/terminal/commands/.`,
    // Nothing takes files unless it is said.
    `complete -c ${program.name} -f`,
    ...optionLines(program.name, before, program.options),
    ...program.commands.flatMap(({ name, summary, options, operands }) => [
      `complete -c ${program.name} -n ${quoted(before)} -a ${name} -d ${quoted(plain(summary))}`,
      ...optionLines(program.name, `__fish_seen_subcommand_from ${name}`, options),
      ...(operands === undefined
        ? []
        : [`complete -c ${program.name} -n ${quoted(`__fish_seen_subcommand_from ${name}`)} ${values(operands)}`]),
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

function optionLines(program: string, condition: string, options: Options): string[] {
  return Object.entries(options).flatMap(([name, option]) => [
    optionLine(program, condition, name, option),
    ...(option.negative === true ? [optionLine(program, condition, `no-${name}`, option)] : []),
  ]);
}

function optionLine(
  program: string,
  condition: string,
  name: string,
  { type, short, summary, completes }: OptionDescription,
): string {
  return [
    `complete -c ${program} -n ${quoted(condition)} -l ${name}`,
    ...(short === undefined ? [] : [`-s ${short}`]),
    ...(type === "string" ? ["-r", completes === undefined ? "-f" : values(completes)] : []),
    `-d ${quoted(plain(summary))}`,
  ].join(" ");
}

function values(completion: Completion): string {
  if (typeof completion === "object") return `-f -a ${quoted(completion.words.join(" "))}`;
  return {
    file: "-F",
    directory: `-f -a ${quoted("(__fish_complete_directories)")}`,
    account: `-f -a ${quoted("(__fish_complete_users)")}`,
    program: "-F",
  }[completion];
}

/** In fish, a backslash before a quote counts within quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
