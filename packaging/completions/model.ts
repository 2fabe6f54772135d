import { commands } from "../../src/terminal/commands.ts";
import type { CommandDescription, Completion, Options } from "../../src/terminal/commands/description.ts";
import { jacamarAuthProgram, jacamarProgram, type ProgramDescription } from "../../src/terminal/commands/programs.ts";

/** What a shell needs to know of a program. */
export interface CompletedProgram {
  readonly name: string;
  /** The options before a command. */
  readonly options: Options;
  readonly commands: readonly CompletedCommand[];
}

export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: Options;
  /** What may stand in the place of its operands; undefined for nothing that a shell could know. */
  readonly operands: Completion | undefined;
}

/** Both programs, with the stages of a job as commands. */
export const completedPrograms: readonly CompletedProgram[] = [
  completed(jacamarProgram, Object.values(commands)),
  completed(jacamarAuthProgram, []),
];

function completed(program: ProgramDescription, people: readonly CommandDescription[]): CompletedProgram {
  const { configuration, ...options } = program.options;
  const stages = program.calls.map(({ call, does }) => ({
    name: call.split(" ")[0] ?? "",
    summary: does,
    options: call.includes("--configuration") && configuration !== undefined ? { configuration } : {},
    operands: call.includes("SCRIPT") ? ("file" as const) : undefined,
  }));
  return {
    name: program.name,
    options,
    commands: [
      ...people.map(({ name, summary, options: own, operands }) => ({
        name,
        summary,
        options: own,
        operands: operands[0]?.completes,
      })),
      ...stages,
      ...(people.length === 0 ? [] : [help(people)]),
    ],
  };
}

/** `jacamar help NAME`. */
function help(people: readonly CommandDescription[]): CompletedCommand {
  const words = people.map(({ name }) => name);
  return { name: "help", summary: "show how a command is called", options: {}, operands: { words } };
}

/** All that can be typed for an option: `--name`, `--no-name`, `-n`. */
export function spellings(options: Options): string[] {
  return Object.entries(options).flatMap(([name, { short, negative }]) => [
    ...(short === undefined ? [] : [`-${short}`]),
    `--${name}`,
    ...(negative === true ? [`--no-${name}`] : []),
  ]);
}

/** A word for a shell, which takes nothing in it for its own. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The text of a description without backquotes. */
export function plain(text: string): string {
  return text.replaceAll("`", "");
}
