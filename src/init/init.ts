import { chmodSync, existsSync, mkdirSync, realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { createInterface } from "node:readline";
import { currentAccount } from "../account/account.ts";
import { checkText } from "../check/check.ts";
import { lookAtFile } from "../check/exchangeable.ts";
import { formatFinding } from "../config/problem.ts";
import { usualConfiguration } from "../config/usual-place.ts";
import { JacamarError } from "../error/error.ts";
import { initCommand } from "../terminal/commands/init.ts";
import { helpText } from "../terminal/help.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { type Answers, questions, readAnswer, suggested } from "./answers.ts";
import { parseInitArguments, usage } from "./arguments.ts";
import { composeConfiguration } from "./compose.ts";
import { lookAround, type Machine } from "./machine.ts";
import { runnerBlock } from "./runner-block.ts";
import { refuseExisting, writeWhole } from "./write-new.ts";

/**
 * `jacamar init`: writes a first configuration and prints the block for the runner's config.toml. Returns 0.
 * Throws `usage` when something cannot be known or the file is there, `config_invalid` when what was asked for would not
 * pass `jacamar check`; nothing is written then.
 */
export async function initHere(argv: readonly string[], terminal: Terminal): Promise<number> {
  const wanted = parseInitArguments(argv);
  if (wanted.help) {
    terminal.stdout.write(helpText(initCommand));
    return 0;
  }
  const account = currentAccount();
  const place = account.uid === 0 ? "/etc/gitlab-runner" : `${account.home}/.gitlab-runner`;
  const file = wanted.file === undefined ? `${place}/jacamar.toml` : resolve(terminal.workingDirectory, wanted.file);
  refuseExisting(file);
  const machine = await lookAround(account, terminal.environment["PATH"] ?? "", `${place}/config.toml`);
  const answers = await answer(wanted, machine, terminal);
  const programs = dirname(realpathSync(terminal.program.at(-1) ?? ""));
  const text = composeConfiguration(answers, file, schemaBeside(programs));
  const mode = account.uid === 0 ? 0o644 : 0o600;
  const warnings = await refuseProblems(text, file, account.uid, mode);
  // The usual directory may wait for the runner to be installed; any other one is the caller's business.
  if (wanted.file === undefined) makePlace(place, account.uid === 0 ? 0o755 : 0o700);
  writeWhole(file, text, mode);
  const block = runnerBlock(programs, file, answers.downscope);
  terminal.stderr.write(`${[`Wrote ${file}`, ...warnings, ...advice(file, programs, answers), ""].join("\n")}\n`);
  terminal.stdout.write(block);
  return 0;
}

/** Whatever the umask: a service account must get at root's file, too. One that is there keeps its mode. */
function makePlace(place: string, mode: number): void {
  if (mkdirSync(place, { recursive: true, mode }) !== undefined) chmodSync(place, mode);
}

async function answer(
  { yes, given }: ReturnType<typeof parseInitArguments>,
  machine: Machine,
  terminal: Terminal,
): Promise<Answers> {
  for (const [name, value] of Object.entries(given)) refuseWrong(name, value);
  const start: Answers = { ...suggested(machine), ...given };
  if (!yes && !terminal.stdin.isTTY) {
    throw usage(
      "Standard input is no terminal, so nothing can be asked: give --yes, and options for what cannot be seen",
    );
  }
  const answers = yes ? start : await ask(start, given, machine, terminal);
  if (answers.downscope !== "no-auth" && answers.gitlabServer === "") {
    throw usage("The address of GitLab cannot be seen on this machine: give --gitlab-server URL");
  }
  return answers;
}

function refuseWrong(name: string, value: string | boolean): void {
  const known = names.find((one) => one === name);
  if (known === undefined || typeof value === "boolean") return;
  const read = readAnswer(known, value);
  if ("expected" in read)
    throw usage(`${JSON.stringify(value)} cannot be used for ${option(known)}: expected ${read.expected}`);
}

const names = [
  "executor",
  "dataDir",
  "downscope",
  "runnerImage",
  "gitlabServer",
  "tlsCaFile",
  "tokenVariable",
] as const;

function option(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Asks what no option has said. An empty answer takes what is suggested. */
async function ask(start: Answers, given: Partial<Answers>, machine: Machine, terminal: Terminal): Promise<Answers> {
  // The terminal edits the line; what was typed ahead answers the questions to come.
  const reader = createInterface({ input: terminal.stdin, terminal: false });
  const lines = reader[Symbol.asyncIterator]();
  let answers = start;
  try {
    for (const { name, text, seen, applies } of questions) {
      if (name in given || !applies(answers)) continue;
      const shown = shownAnswer(answers[name]);
      const note = seen(machine);
      terminal.stderr.write(`${text}\n${note === "" ? "" : `  (${note})\n`}`);
      for (;;) {
        terminal.stderr.write(shown === "" ? "> " : `[${shown}] > `);
        const line = await lines.next();
        if (line.done === true) {
          terminal.stderr.write("\n");
          throw usage("The questions were not answered, and nothing was written");
        }
        const said = line.value.trim();
        const read = readAnswer(name, said === "" ? shown : said);
        if ("value" in read) {
          answers = { ...answers, [name]: read.value };
          break;
        }
        terminal.stderr.write(`That cannot be used: expected ${read.expected}\n`);
      }
    }
  } finally {
    reader.close();
  }
  return answers;
}

function shownAnswer(value: string | boolean): string {
  if (typeof value === "string") return value;
  return value ? "yes" : "no";
}

/** What is written must pass the check; its warnings are told. Throws `config_invalid`. */
async function refuseProblems(text: string, file: string, uid: number, mode: number): Promise<string[]> {
  const { problems, warnings } = await checkText({ text, uid, mode }, { file, elsewhere: false });
  if (problems.length === 0) return warnings.map((warning) => formatFinding(warning, "warning"));
  const lines = problems.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  throw new JacamarError("config_invalid", `No job would run with these answers:\n${lines.join("\n")}`, {
    hint: `Nothing was written to ${file}.`,
  });
}

function schemaBeside(programs: string): string | undefined {
  const path = `${programs}/jacamar.schema.json`;
  return existsSync(path) ? path : undefined;
}

/** A path as a word of the shell, into which the line is pasted. */
function word(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** Root looks as another user; the usual place of the configuration needs no option. */
function doctorCall(file: string): string {
  const configuration = file === usualConfiguration ? "" : ` --configuration ${word(file)}`;
  return `jacamar doctor${process.geteuid?.() === 0 ? " --user NAME" : ""}${configuration}`;
}

function advice(
  file: string,
  programs: string,
  { downscope, tokenVariable, gitlabServer, executor }: Answers,
): string[] {
  const program = `${programs}/${downscope === "no-auth" ? "jacamar" : "jacamar-auth"}`;
  const state = lookAtFile(program, [process.geteuid?.() ?? 0]);
  return [
    "",
    "Then:",
    '- Put the block below into the [[runners]] of GitLab Runner\'s config.toml, with executor = "custom" above it.',
    ...(process.geteuid?.() === 0 && (downscope === "none" || downscope === "no-auth")
      ? ["- Let GitLab Runner run as an ordinary account: jobs never run as root."]
      : []),
    ...(downscope === "setuid" && process.geteuid?.() !== 0
      ? [
          '- Have jacamar-auth with its capabilities: the package jacamar-ci-caps, or docs/administration.md, "as a service account".',
        ]
      : []),
    ...(downscope === "sudo" ? ['- Add the line to sudoers: docs/administration.md, "downscope = sudo".'] : []),
    ...(downscope === "no-auth"
      ? []
      : [
          "- Every job needs an ID token, in .gitlab-ci.yml:",
          `    id_tokens:\n      ${tokenVariable}:\n        aud: ${gitlabServer}`,
        ]),
    ...(executor === "shell" ? [] : ["- See that the compute nodes have data_dir under the same path."]),
    ...(state.kind === "exchangeable" ? [`- Move the program to a place that only root can write: ${state.why}.`] : []),
    `- After a change: jacamar check ${word(file)}`,
    `- See what a job would meet here: ${doctorCall(file)}`,
  ];
}
