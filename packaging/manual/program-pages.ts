import { commands } from "../../src/terminal/commands.ts";
import type { CommandDescription, OptionDescription, Options } from "../../src/terminal/commands/description.ts";
import { jacamarAuthProgram, jacamarProgram, type ProgramDescription } from "../../src/terminal/commands/programs.ts";
import {
  bold,
  entry,
  escaped,
  italic,
  paragraph,
  paragraphs,
  section,
  styled,
  subsection,
  title,
  verbatim,
} from "./roff.ts";

/** The page jacamar(1). */
export function jacamarPage(date: Date): string {
  const all: readonly CommandDescription[] = Object.values(commands);
  return page(jacamarProgram, 1, date, {
    synopsis: all.map((command) =>
      synopsisOf([bold(`jacamar ${command.name}`), italic("options"), ...operands(command)]),
    ),
    more: [section("COMMANDS"), ...all.flatMap(commandSection)],
    also: [bold("jacamar-auth") + "(8)", bold("jacamar.toml") + "(5)", bold("podman") + "(1)"],
  });
}

/** The page jacamar-auth(8). */
export function jacamarAuthPage(date: Date): string {
  return page(jacamarAuthProgram, 8, date, {
    synopsis: [],
    more: [],
    also: [
      bold("jacamar") + "(1)",
      bold("jacamar.toml") + "(5)",
      bold("capabilities") + "(7)",
      bold("sudoers") + "(5)",
    ],
  });
}

interface Rest {
  readonly synopsis: readonly string[];
  readonly more: readonly string[];
  readonly also: readonly string[];
}

function page(program: ProgramDescription, number: number, date: Date, rest: Rest): string {
  const calls = program.calls.map(({ call }) => synopsisOf([bold(program.name), italic("options"), styledCall(call)]));
  return `${[
    '.\\" Made by packaging/manual/ from src/terminal/commands/.',
    title(program.name, number, date),
    section("NAME"),
    `${escaped(program.name)} \\- ${escaped(program.summary)}`,
    section("SYNOPSIS"),
    paragraphs([...rest.synopsis, ...calls]),
    section("DESCRIPTION"),
    paragraphs(program.description.map(styled)),
    ...rest.more,
    section("CALLED BY GITLAB RUNNER"),
    paragraphs([styled("The `[runners.custom]` block of the runner's config.toml names these calls.")]),
    ...program.calls.map(({ call, does }) => entry(styledCall(call), styled(does))),
    section("OPTIONS"),
    ...optionEntries(program.options),
    section("EXIT STATUS"),
    paragraphs([
      styled(
        "A stage of a job ends with 0 when it has worked, with the value of `BUILD_FAILURE_EXIT_CODE` when the job is at fault, and with that of `SYSTEM_FAILURE_EXIT_CODE` when the system is, or when GitLab Runner has ended the stage. Without these variables it is 1 and 2.",
      ),
    ]),
    section("ENVIRONMENT"),
    ...environment.map(([name, means]) => entry(bold(name), styled(means))),
    section("FILES"),
    ...files.map(([name, means]) => entry(italic(name), styled(means))),
    section("SEE ALSO"),
    rest.also.join(",\n"),
  ].join("\n")}\n`;
}

const environment = [
  [
    "CUSTOM_ENV_*, JOB_RESPONSE_FILE, BUILD_EXIT_CODE_FILE",
    "What GitLab Runner hands over. Variables of a job begin with `CUSTOM_ENV_`, so none of them can take the place of another.",
  ],
  ["NODE_EXTRA_CA_CERTS, SSL_CERT_FILE", "Certificates that HTTPS trusts, beside `tls-ca-file` of the configuration."],
  ["HTTPS_PROXY, NO_PROXY", "The way to the GitLab server."],
] as const;

const files = [
  ["/etc/gitlab-runner/jacamar.toml", "The usual place of the configuration, jacamar.toml(5)."],
  ["/etc/gitlab-runner/config.toml", "The configuration of GitLab Runner."],
  ["/usr/share/doc/jacamar-ci/examples", "A configuration for each kind of site."],
] as const;

function commandSection(command: CommandDescription): string[] {
  const codes = Object.entries(command.exitCodes).map(([code, means]) => entry(bold(code), styled(means)));
  return [
    subsection(synopsisOf([bold(`jacamar ${command.name}`), italic("options"), ...operands(command)])),
    paragraphs(command.description.map(styled)),
    ...optionEntries(command.options),
    ...(command.notes ?? []).map((note) => paragraph(styled(note))),
    paragraph("Exit codes:"),
    ...codes,
    ...(command.examples ?? []).flatMap(({ does, call }) => [
      paragraph(`For example, ${styled(does)}:`),
      verbatim(call),
    ]),
  ];
}

function operands(command: CommandDescription): string[] {
  return command.operands.map(({ name, optional, multiple }) => {
    const text = optional === true ? `[${italic(name)}]` : italic(name);
    return multiple === true ? `${text}...` : text;
  });
}

function optionEntries(options: Options): string[] {
  return Object.entries(options).map(([name, option]) => entry(optionTerm(name, option), styled(option.summary)));
}

function optionTerm(name: string, { short, value, negative }: OptionDescription): string {
  const names = [
    ...(short === undefined ? [] : [bold(`-${short}`)]),
    bold(`--${name}`),
    ...(negative === true ? [bold(`--no-${name}`)] : []),
  ];
  return `${names.join(", ")}${value === undefined ? "" : ` ${italic(value)}`}`;
}

/** A call of a stage: names of values in capitals are italic, all else is bold. */
function styledCall(call: string): string {
  return call
    .split(/([A-Z]{2,}|[[\]])/)
    .map((part) => (/^[A-Z]{2,}$/.test(part) ? italic(part) : /^[[\]]?$/.test(part) ? part : bold(part)))
    .join("");
}

function synopsisOf(parts: readonly string[]): string {
  return parts.map((part) => (part === italic("options") ? `[${part}]` : part)).join(" ");
}
