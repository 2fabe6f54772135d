import type { CommandDescription, OptionDescription, Options } from "./commands/description.ts";

/** Columns of a help text. */
const width = 100;
/** Where what an option is for begins. A longer option has a line of its own. */
const deepestColumn = 26;

/** What `jacamar NAME --help` prints. */
export function helpText(command: CommandDescription): string {
  const usage = ["Usage: jacamar", command.name, "[options]", ...command.operands.map(operandText)].join(" ");
  const exitCodes = Object.entries(command.exitCodes).map(([code, means]) => `${code} ${means}`);
  return `${[
    usage,
    ...command.description.map((paragraph) => wrap(paragraph)),
    optionsText(command.options),
    ...(command.notes ?? []).map((paragraph) => wrap(paragraph)),
    wrap(`Exit code: ${exitCodes.join(", ")}.`),
    ...(command.examples ?? []).map(({ does, call }) => `For example, ${does}:\n    ${call}`),
  ].join("\n\n")}\n`;
}

/** `FILE`, `[FILE]` when it may be left out, `FILE...` when there may be more. */
export function operandText({ name, optional, multiple }: CommandDescription["operands"][number]): string {
  return `${optional === true ? `[${name}]` : name}${multiple === true ? "..." : ""}`;
}

/** `-h, --help`, `--file FILE`, `--x, --no-x`. */
export function optionLabel(name: string, { short, value, negative }: OptionDescription): string {
  const names = [
    ...(short === undefined ? [] : [`-${short}`]),
    `--${name}`,
    ...(negative === true ? [`--no-${name}`] : []),
  ];
  return `${names.join(", ")}${value === undefined ? "" : ` ${value}`}`;
}

/** One entry for each option, in two columns. */
export function optionsText(options: Options): string {
  return columns(Object.entries(options).map(([name, option]) => [optionLabel(name, option), option.summary]));
}

/** Rows of a label and a text beside it, or below it when the label is long. */
export function columns(rows: readonly (readonly [label: string, text: string])[]): string {
  const longest = Math.max(...rows.map(([label]) => label.length).filter((length) => length + 4 <= deepestColumn), 0);
  const indent = " ".repeat(longest + 4);
  return rows
    .map(([label, text]) => {
      const body = wrap(text, indent);
      return label.length + 4 <= indent.length
        ? `  ${label.padEnd(longest)}  ${body.trimStart()}`
        : `  ${label}\n${body}`;
    })
    .join("\n");
}

/** Breaks a text into lines. Backquotes are left out: they are for pages. */
export function wrap(text: string, indent = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.replaceAll("`", "").split(" ")) {
    if (line !== "" && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, indent + line].join("\n");
}
