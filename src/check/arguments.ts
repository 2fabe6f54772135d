import { parseArgs } from "node:util";
import { JacamarError } from "../error/error.ts";

/** What `jacamar check` was asked for. */
export interface CheckArguments {
  readonly help: boolean;
  /** A path, or `-` for standard input. */
  readonly file: string;
  readonly runnerConfig: string | undefined;
  readonly elsewhere: boolean;
  readonly strict: boolean;
  readonly json: boolean;
}

export const defaultFile = "/etc/gitlab-runner/jacamar.toml";

export const helpText = `Usage: jacamar check [options] [FILE]

Finds every problem of a configuration at once, with its place, and what is allowed and probably not meant.
FILE is ${defaultFile} when none is given; - is standard input.

  --runner-config FILE  also compare with the config.toml of GitLab Runner
  --elsewhere           the file is for another machine: do not look for its programs and accounts on this one
  --strict              warnings count as problems
  --json                one JSON object on standard output
  --help                this text

Exit code: 0 no problem, 1 a problem (with --strict also a warning), 2 the file cannot be read or the call is wrong.
Each rule is described in docs/check.md.
`;

/** Reads the command line. Throws `usage`. */
export function parseCheckArguments(argv: readonly string[]): CheckArguments {
  const { values, positionals } = parse(argv);
  if (positionals.length > 1) throw usage(`jacamar check takes one file, but there are ${positionals.length}`);
  return {
    help: values.help === true,
    file: positionals[0] ?? defaultFile,
    runnerConfig: values["runner-config"],
    elsewhere: values.elsewhere === true,
    strict: values.strict === true,
    json: values.json === true,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      strict: true,
      options: {
        "runner-config": { type: "string" },
        elsewhere: { type: "boolean" },
        strict: { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw usage(error.message);
  }
}

function usage(message: string): JacamarError {
  return new JacamarError("usage", message, { hint: "See: jacamar check --help" });
}
