import * as v from "valibot";
import { factsOf, hasDefault, keysOf, kindOf, optionsOf } from "./kinds.ts";
import { configSchema } from "./schema.ts";

/** The reference page of the configuration file in Markdown. */
export function configurationReference(): string {
  return `${[introduction, ...sections(configSchema, "")].join("\n\n")}\n`;
}

const introduction = `# Configuration

<!-- Written by scripts/write-reference.ts from src/config/schema.ts. Do not edit. -->

The configuration is one TOML file, often \`/etc/gitlab-runner/jacamar.toml\`. The runner's \`config_args\` name it:
\`config --configuration FILE\`. A change takes effect with the next job.

- The file belongs to root or to the account that reads it. Nobody else can write it. It has at most 1 MiB.
- A file with a mistake runs no job. All mistakes are told at once, with line and column.
- Durations are text with a unit: \`"120s"\`, \`"2m"\`, \`"1h30m"\`, at most 480h.
- Lists may be empty. Text may not: leave the key out instead.
- \`jacamar check\` tells what is wrong with a file, and an editor can do the same: [check.md](check.md).

\`\`\`toml
[general]
executor = "shell"
data_dir = "$HOME/.jacamar-ci"
run_mechanism = "podman"

[general.podman]
runner_image = "registry.example.com/ci/runner:1.0"
image_allowlist = ['^registry\\.example\\.com/group/.*$']
user_volume_variable = "PODMAN_VOLUMES"
\`\`\``;

function sections(schema: v.GenericSchema, name: string): string[] {
  const keys = [...(keysOf(schema) ?? [])];
  const rows = keys.filter(([, entry]) => keysOf(entry) === undefined);
  const own = rows.length === 0 ? [] : [section(schema, name, rows)];
  const inner = keys.filter(([, entry]) => keysOf(entry) !== undefined);
  return [...own, ...inner.flatMap(([key, entry]) => sections(entry, name === "" ? key : `${name}.${key}`))];
}

type Row = readonly [string, v.GenericSchema];

function section(schema: v.GenericSchema, name: string, rows: readonly Row[]): string {
  const facts = factsOf(schema);
  const lines = [
    `## \`[${name}]\``,
    facts?.description ?? "",
    ["| Key | Type | Default | Meaning |", "| --- | --- | --- | --- |", ...rows.map(tableRow)].join("\n"),
    ...rows.flatMap(([key, entry]) => {
      const details = factsOf(entry)?.details;
      return details === undefined ? [] : [`### \`${key}\``, details];
    }),
  ];
  return lines.join("\n\n");
}

function tableRow([key, schema]: Row): string {
  const facts = factsOf(schema);
  const meaning = [facts?.description, facts?.details && "More below."];
  const cells = [
    `\`${key}\``,
    typeCell(schema),
    defaultCell(schema, facts?.unset),
    meaning.filter((part) => part !== undefined).join(" "),
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

function typeCell(schema: v.GenericSchema): string {
  const options = optionsOf(schema);
  return options === undefined ? (kindOf(schema) ?? "") : options.map((option) => `\`"${option}"\``).join(", ");
}

function defaultCell(schema: v.GenericSchema, unset: string | undefined): string {
  if (!hasDefault(schema)) return "required";
  const value: unknown = v.getDefault(schema);
  return value === undefined ? `not set: ${unset ?? ""}` : `\`${JSON.stringify(value)}\``;
}
