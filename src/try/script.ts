import { ansi } from "./ansi.ts";
import { shellEscape } from "./shell-escape.ts";
import type { Variable } from "./variables.ts";

/** The body of one stage's script, built line by line from words that are quoted here and nowhere else. */
export class ScriptBody {
  readonly #lines: string[] = [];

  /** A line of shell as it stands. Data may get into it only through `shellEscape`. */
  line(text: string): this {
    this.#lines.push(text);
    return this;
  }

  /** One command; each argument is one word, whatever it holds. */
  command(...argv: readonly [string, ...string[]]): this {
    return this.line(argv.map(shellEscape).join(" "));
  }

  /** A line of the job log in the colour of the runner's own steps. */
  notice(text: string): this {
    return this.line(`echo ${shellEscape(`${ansi.boldGreen}${text}${ansi.reset}`)}`);
  }

  /** A warning in the job log. */
  warning(text: string): this {
    return this.line(`echo ${shellEscape(`${ansi.yellow}${text}${ansi.reset}`)}`);
  }

  /** An error in the job log; the script goes on. */
  error(text: string): this {
    return this.line(`echo ${shellEscape(`${ansi.boldRed}${text}${ansi.reset}`)}`);
  }

  /** Removes files; missing ones are fine. */
  removeFile(...paths: readonly string[]): this {
    return this.line(`rm -f ${paths.map(shellEscape).join(" ")}`);
  }

  /** Runs `inside` only when all the programs are there, otherwise warns as the runner does. */
  whenInstalled(programs: readonly string[], action: string, inside: () => void): this {
    const tests = programs.map((program) => `command -v ${shellEscape(program)} >/dev/null 2>&1`);
    this.line(`if ${tests.join(" && ")} ; then`);
    inside();
    this.line("else");
    this.warning(`Missing ${listed(programs)}. ${action} is disabled.`);
    return this.line("fi");
  }

  /** Bytes that travel in the script itself, handed to a shell command's standard input. */
  payload(base64: string, command: string): this {
    // No line of Base64 holds an underscore, so the end word cannot occur in it.
    this.line(`base64 -d << 'END_OF_PAYLOAD' | ${command}`);
    for (let at = 0; at < base64.length; at += 76) this.#lines.push(base64.slice(at, at + 76));
    return this.line("END_OF_PAYLOAD");
  }

  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }
}

/** What every script of a job needs to know to export the job's variables. */
export interface ScriptContext {
  readonly variables: readonly Variable[];
  readonly projectDir: string;
  /** `<project>.tmp`: file variables and the GITLAB_ENV file. */
  readonly temporaryDir: string;
}

/** The path of a file beside the project, where the runner keeps what must not lie in the work tree. */
export function temporaryFile(context: ScriptContext, name: string): string {
  return `${context.temporaryDir}/${name}`;
}

/**
 * Exports every variable, writes file variables to `<project>.tmp/<KEY>`, and reads the file that earlier scripts may
 * have filled through `$GITLAB_ENV`. Every stage but prepare_script starts with it (facts/gitlab-runner.md, 1.6).
 */
export function writeExports(body: ScriptBody, context: ScriptContext, options: { writeFiles: boolean }): void {
  for (const variable of context.variables) {
    const file = temporaryFile(context, variable.key);
    if (!variable.file) {
      body.line(`export ${shellEscape(variable.key)}=${shellEscape(variable.value)}`);
      continue;
    }
    if (options.writeFiles) {
      body.command("mkdir", "-p", context.temporaryDir);
      body.line(`printf '%s' ${shellEscape(variable.value)} > ${shellEscape(file)}`);
    }
    body.line(`export ${shellEscape(variable.key)}=${shellEscape(file)}`);
  }
  const environmentFile = temporaryFile(context, "gitlab_runner_env");
  body.line(`export GITLAB_ENV=${shellEscape(environmentFile)}`);
  body.command("mkdir", "-p", context.temporaryDir);
  body.command("touch", environmentFile);
  body.line(`while read -r line; do export "$line"; done < ${shellEscape(environmentFile)}`);
}

/** The user's commands, each announced in the log the way GitLab shows it: `$ make`, and only the first line of many. */
export function writeCommands(body: ScriptBody, commands: readonly string[]): void {
  for (const raw of commands) {
    const command = raw.trim();
    const lineBreak = command.indexOf("\n");
    if (command === "") body.line("echo");
    else if (lineBreak < 0) body.notice(`$ ${command}`);
    else body.notice(`$ ${command.slice(0, lineBreak)} # collapsed multi-line command`);
    body.line(command);
  }
}

/** The whole file that the driver is given for a stage, in the runner's frame (facts/gitlab-runner.md, 1.5). */
export function frame(body: ScriptBody, options: { readonly trace: boolean }): string {
  return [
    "#!/usr/bin/env bash",
    "",
    "trap 'exit 1' TERM",
    "",
    ...(options.trace ? ["set -o xtrace"] : []),
    `case "$(set -o)" in *"pipefail"*) set -o pipefail;; esac; set -o errexit`,
    "set +o noclobber",
    `(trap 'exit 1' TERM; eval ${shellEscape(body.toString())}) < /dev/null`,
    "exit 0",
    "",
  ].join("\n");
}

function listed(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1) ?? ""}`;
}
