import { usualConfiguration } from "../config/usual-place.ts";
import { parseArguments } from "../terminal/arguments.ts";
import { checkCommand } from "../terminal/commands/check.ts";

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

/** Reads the command line. Throws `usage`. */
export function parseCheckArguments(argv: readonly string[]): CheckArguments {
  const { values, positionals } = parseArguments(checkCommand, argv);
  return {
    help: values.help === true,
    file: positionals[0] ?? usualConfiguration,
    runnerConfig: values["runner-config"],
    elsewhere: values.elsewhere === true,
    strict: values.strict === true,
    json: values.json === true,
  };
}
