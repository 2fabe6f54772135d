import type { Completion, OptionDescription, Options } from "../../src/terminal/commands/description.ts";
import { type CompletedCommand, type CompletedProgram, plain, quoted } from "./model.ts";

/** The completion of a program for Zsh: a file for a directory of `fpath`. */
export function zshCompletion(program: CompletedProgram): string {
  const name = `_${program.name}`;
  const described = program.commands.map(({ name: command, summary }) =>
    quoted(`${command}:${plain(summary).replaceAll(":", "\\:")}`),
  );
  return `#compdef ${program.name}
# Made by packaging/completions/ from src/terminal/commands/.
${name}() {
  local context state line
  local -A opt_args
  local -a commands=(
    ${described.join("\n    ")}
  )
  _arguments -C ${[...specifications(program.options), "'1:command:->command'", "'*::argument:->argument'"].join(" \\\n    ")}
  case $state in
  command) _describe command commands ;;
  argument)
    case $line[1] in
${program.commands.map(commandCase).join("\n")}
    esac
    ;;
  esac
}
${name} "$@"
`;
}

function commandCase({ name, options, operands }: CompletedCommand): string {
  const all = [
    ...specifications(options),
    ...(operands === undefined ? [] : [quoted(`*:operand:${action(operands)}`)]),
  ];
  return `    ${name}) ${all.length === 0 ? ":" : `_arguments ${all.join(" \\\n      ")}`} ;;`;
}

function specifications(options: Options): string[] {
  return Object.entries(options).flatMap(([name, option]) => [
    ...(option.short === undefined ? [] : [specification(`-${option.short}`, option)]),
    specification(`--${name}`, option),
    ...(option.negative === true ? [specification(`--no-${name}`, option)] : []),
  ]);
}

/** One word of `_arguments`. With `=` a value may stand in the same word or in the next. */
function specification(spelling: string, { type, multiple, value, summary, completes }: OptionDescription): string {
  const text = plain(summary).replaceAll(/[[\]:\\]/g, "\\$&");
  const first = `${multiple === true ? "*" : ""}${spelling}${type === "string" ? "=" : ""}[${text}]`;
  if (type === "boolean") return quoted(first);
  return quoted(
    `${first}:${(value ?? "value").replaceAll(":", "\\:")}:${completes === undefined ? " " : action(completes)}`,
  );
}

function action(completion: Completion): string {
  if (typeof completion === "object") return `(${completion.words.join(" ")})`;
  return { file: "_files", directory: "_files -/", account: "_users", program: "_command_names -e" }[completion];
}
