import { commands } from "../../src/terminal/commands.ts";
import type { CommandDescription, Example, Options } from "../../src/terminal/commands/description.ts";
import { jacamarAuthProgram, jacamarProgram, type ProgramDescription } from "../../src/terminal/commands/programs.ts";
import { operandText, optionLabel } from "../../src/terminal/help.ts";

/** docs/commands.md in Markdown. */
export function commandsPage(): string {
  const all: readonly CommandDescription[] = Object.values(commands);
  const rows = all.map(({ name, summary }) => `| [\`jacamar ${name}\`](#jacamar-${name}) | ${summary} |`);
  return `${[
    introduction,
    ["| Command | What it does |", "| --- | --- |", ...rows].join("\n"),
    ...all.flatMap(commandSection),
    "## Called by GitLab Runner",
    "The `[runners.custom]` block of the runner's config.toml has these calls: [administration.md](administration.md).",
    ...[jacamarProgram, jacamarAuthProgram].flatMap(programSection),
  ].join("\n\n")}\n`;
}

const introduction = `# Commands

<!-- Written by scripts/write-reference.ts from src/terminal/commands/. Do not edit. -->

\`jacamar COMMAND --help\` tells the same, and so do the manual pages of the packages.`;

function commandSection(command: CommandDescription): string[] {
  const usage = ["jacamar", command.name, "[options]", ...command.operands.map(operandText)].join(" ");
  const codes = Object.entries(command.exitCodes).map(([code, means]) => `| ${code} | ${cell(means)} |`);
  return [
    `## \`jacamar ${command.name}\``,
    `\`\`\`text\n${usage}\n\`\`\``,
    ...command.description,
    optionTable(command.options),
    ...(command.notes ?? []),
    ["| Exit code | Means |", "| --- | --- |", ...codes].join("\n"),
    ...(command.examples ?? []).map(example),
  ];
}

function programSection(program: ProgramDescription): string[] {
  const calls = program.calls.map(({ call, does }) => `| \`${program.name} ${call}\` | ${does} |`);
  return [
    `### \`${program.name}\``,
    ...program.description,
    ["| Call | What it does |", "| --- | --- |", ...calls].join("\n"),
    optionTable(program.options),
  ];
}

function optionTable(options: Options): string {
  const rows = Object.entries(options).map(
    ([name, option]) => `| \`${cell(optionLabel(name, option))}\` | ${cell(option.summary)} |`,
  );
  return ["| Option | What it is for |", "| --- | --- |", ...rows].join("\n");
}

function example({ does, call }: Example): string {
  return `For example, ${does}:\n\n\`\`\`sh\n${call}\n\`\`\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
