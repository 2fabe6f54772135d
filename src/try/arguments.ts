import { parseArguments, usage } from "../terminal/arguments.ts";
import { tryCommand } from "../terminal/commands/try.ts";

/** What the user asked for on the command line. */
export interface TryArguments {
  readonly help: boolean;
  readonly file: string;
  readonly configuration: string | undefined;
  readonly jobs: readonly string[];
  /** `KEY=VALUE`, or `KEY` alone for a value that stands in the environment. */
  readonly variables: readonly string[];
  readonly maskedVariables: readonly string[];
  /** `KEY=PATH`: a variable of type file. */
  readonly fileVariables: readonly string[];
  readonly concurrent: number;
  readonly gracefulTimeoutSeconds: number;
  readonly driver: string | undefined;
  readonly driverArguments: readonly string[];
  /** The port of the server that signs ID tokens; 0 for any free one. */
  readonly tokenServerPort: number;
  /** The GitLab login that started the pipeline; undefined for the caller's own account name. */
  readonly login: string | undefined;
}

/** Reads the command line. Throws `usage` on anything it does not know. */
export function parseTryArguments(argv: readonly string[]): TryArguments {
  const { values, positionals } = parseArguments(tryCommand, argv);
  for (const text of values["file-variable"] ?? []) {
    if (!/^[^=]+=./.test(text)) throw usage(tryCommand, `--file-variable "${text}" is not KEY=PATH`);
  }
  for (const text of [
    ...(values.variable ?? []),
    ...(values["masked-variable"] ?? []),
    ...(values["file-variable"] ?? []),
  ]) {
    const key = text.split("=", 1)[0] ?? "";
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) {
      throw usage(tryCommand, `"${key}" cannot be the name of a variable`);
    }
  }
  if (values.login === "") throw usage(tryCommand, "--login needs a name");
  return {
    help: values.help === true,
    file: positionals[0] ?? ".gitlab-ci.yml",
    configuration: values.configuration,
    jobs: values.job ?? [],
    variables: values.variable ?? [],
    maskedVariables: values["masked-variable"] ?? [],
    fileVariables: values["file-variable"] ?? [],
    concurrent: wholeNumber("--concurrent", values.concurrent ?? "1", 1, 100),
    gracefulTimeoutSeconds: wholeNumber("--graceful-timeout", values["graceful-timeout"] ?? "30", 0, 3600),
    driver: values.driver,
    driverArguments: values["driver-argument"] ?? [],
    tokenServerPort: wholeNumber("--token-server", values["token-server"] ?? "0", 0, 65_535),
    login: values.login,
  };
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw usage(tryCommand, `${option} must be a whole number from ${least} to ${most}, not "${text}"`);
}
