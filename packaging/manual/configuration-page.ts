import * as v from "valibot";
import { factsOf, hasDefault, keysOf, kindOf, optionsOf } from "../../src/config/kinds.ts";
import { configSchema } from "../../src/config/schema.ts";
import { bold, entry, escaped, paragraphs, section, styled, title, verbatim } from "./roff.ts";

/** The page jacamar.toml(5), from the schema that reads the file. */
export function configurationPage(date: Date): string {
  return `${[
    '.\\" Made by packaging/manual/ from src/config/schema.ts.',
    title("jacamar.toml", 5, date),
    section("NAME"),
    "jacamar.toml \\- configuration of Jacamar CI",
    section("DESCRIPTION"),
    paragraphs(introduction.map(styled)),
    section("EXAMPLE"),
    "Jobs that name an image run in rootless Podman:",
    verbatim(example),
    ...tables(configSchema, ""),
    section("SEE ALSO"),
    `${bold("jacamar")}(1),\n${bold("jacamar-auth")}(8)`,
  ].join("\n")}\n`;
}

const introduction = [
  "A TOML file, often `/etc/gitlab-runner/jacamar.toml`. The `config_args` of GitLab Runner name it. A change takes effect with the next job.",
  "It belongs to root or to the account that reads it, and nobody else can write it. A file with a mistake runs no job; `jacamar check` tells all mistakes at once.",
  'Durations are text with a unit: `"120s"`, `"2m"`, `"1h30m"`, at most 480h. Lists may be empty. Text may not: leave the key out instead.',
];

const example = `[general]
executor = "shell"
data_dir = "$HOME/.jacamar-ci"
run_mechanism = "podman"

[general.podman]
runner_image = "registry.example.com/ci/runner:1.0"`;

function tables(schema: v.GenericSchema, name: string): string[] {
  const keys = [...(keysOf(schema) ?? [])];
  const rows = keys.filter(([, value]) => keysOf(value) === undefined);
  const facts = factsOf(schema);
  const own = [
    `.SH "[${escaped(name)}]"`,
    ...(facts === undefined ? [] : [paragraphs([styled(facts.description)])]),
    ...rows.map(([key, value]) => keyEntry(key, value)),
  ];
  const inner = keys.filter(([, value]) => keysOf(value) !== undefined);
  return [
    ...(rows.length === 0 ? [] : own),
    ...inner.flatMap(([key, value]) => tables(value, name === "" ? key : `${name}.${key}`)),
  ];
}

function keyEntry(key: string, schema: v.GenericSchema): string {
  const facts = factsOf(schema);
  const details = facts?.details === undefined ? [] : blocks(facts.details);
  return entry(
    `${bold(key)} (${styled(typeOf(schema))}; ${styled(defaultOf(schema, facts?.unset))})`,
    styled(facts?.description ?? ""),
    ...details,
  );
}

/** The details of a key, which are Markdown: paragraphs, lists, and blocks of code. */
function blocks(markdown: string): string[] {
  return markdown
    .split(/(```[a-z]*\n[\s\S]*?\n```)/)
    .flatMap((part) => {
      const code = /^```[a-z]*\n([\s\S]*?)\n```$/.exec(part)?.[1];
      if (code !== undefined) return [`.EX\n${escaped(code)}\n.EE`];
      return part.split(/\n\n+|\n(?=- )/).map((text) =>
        styled(
          text
            .trim()
            .replace(/^- /, "")
            .replaceAll(/\s*\n\s*/g, " "),
        ),
      );
    })
    .filter((text) => text !== "");
}

function typeOf(schema: v.GenericSchema): string {
  const options = optionsOf(schema);
  return options === undefined ? (kindOf(schema) ?? "") : options.map((option) => `\`"${option}"\``).join(", ");
}

function defaultOf(schema: v.GenericSchema, unset: string | undefined): string {
  if (!hasDefault(schema)) return "required";
  const value: unknown = v.getDefault(schema);
  return value === undefined ? `not set: ${unset ?? ""}` : `default \`${JSON.stringify(value)}\``;
}
