import { version } from "../version.ts";
import { commands } from "./commands.ts";
import type { CommandDescription } from "./commands/description.ts";
import { jacamarAuthProgram, jacamarProgram, type ProgramDescription } from "./commands/programs.ts";
import { columns, operandText, optionsText } from "./help.ts";

/** What `jacamar --help` prints, without a newline at its end. */
export function jacamarHelp(): string {
  const all: readonly CommandDescription[] = Object.values(commands);
  const listed = (["administrators", "everybody"] as const).map((audience) => {
    const rows = all
      .filter((command) => command.audience === audience)
      .map((command) => [[command.name, ...command.operands.map(operandText)].join(" "), command.summary] as const);
    return `For ${audience}:\n${columns(rows)}`;
  });
  return programHelp(jacamarProgram, [...listed, "jacamar COMMAND --help tells of each."]);
}

/** What `jacamar-auth --help` prints, without a newline at its end. */
export function jacamarAuthHelp(): string {
  return programHelp(jacamarAuthProgram, []);
}

function programHelp(program: ProgramDescription, more: readonly string[]): string {
  const calls = program.calls.map(({ call, does }) => [call, does] as const);
  return [
    `${program.name} ${version}: ${program.summary}`,
    `Called by GitLab Runner (config.toml, [runners.custom]):\n${columns(calls)}`,
    ...more,
    `Options:\n${optionsText(program.options)}`,
  ].join("\n\n");
}
