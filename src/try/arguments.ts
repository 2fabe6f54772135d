import { parseArgs } from "node:util";
import { JacamarError } from "../error/error.ts";

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

export const helpText = `Usage: jacamar try [options] [FILE]

Runs the jobs of a GitLab pipeline (default: .gitlab-ci.yml) on this machine, without a GitLab server, through the
same driver processes that GitLab Runner would call.

  --configuration FILE       Jacamar's configuration. Default: the shell executor, Podman for jobs with an image,
                             and a data directory of its own
  --job NAME                 run this job only, and before it the jobs whose artifacts it gets; may be repeated
  --variable KEY[=VALUE]     a variable that outranks those of the pipeline; without a value, the environment's
  --masked-variable KEY[=VALUE]
                             the same, and the log shows [MASKED] in place of its value
  --file-variable KEY=PATH   a variable of type file, with the content of PATH
  --concurrent N             run up to N jobs at a time (default 1)
  --graceful-timeout SECONDS how long a job that is stopped has before it is killed (default 30)
  --driver PROGRAM           another driver than this program, such as jacamar-auth
  --driver-argument ARGUMENT an argument for it, before those of a stage; may be repeated
  --token-server PORT        the port on 127.0.0.1 where id_tokens are signed (default: any free one). The driver's
                             configuration names it: gitlab_server = "http://127.0.0.1:PORT"
  --login NAME               who starts the pipeline, for id_tokens and variables (default: your account's name)
  --help                     this text

jacamar-auth keeps a server's keys and asks for new ones once a minute, but each run signs with a key of its own: a second
run within a minute takes another port.

Ctrl-C cancels as GitLab does: the script is stopped, after_script and the uploads still run. A second Ctrl-C goes
straight to the clean-up.

Exit code: 0 the pipeline passed, 1 a job failed, 2 something else than a job failed (the system, the driver),
130 canceled.
`;

/** Reads the command line. Throws `usage` on anything it does not know. */
export function parseTryArguments(argv: readonly string[]): TryArguments {
  const { values, positionals } = parse(argv);
  if (positionals.length > 1) {
    throw new JacamarError("usage", `jacamar try takes one file, but there are ${positionals.length}`, hint);
  }
  for (const text of values["file-variable"] ?? []) {
    if (!/^[^=]+=./.test(text)) throw new JacamarError("usage", `--file-variable "${text}" is not KEY=PATH`, hint);
  }
  for (const text of [
    ...(values.variable ?? []),
    ...(values["masked-variable"] ?? []),
    ...(values["file-variable"] ?? []),
  ]) {
    const key = text.split("=", 1)[0] ?? "";
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) {
      throw new JacamarError("usage", `"${key}" cannot be the name of a variable`, hint);
    }
  }
  if (values.login === "") throw new JacamarError("usage", "--login needs a name", hint);
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

const hint = { hint: "See: jacamar try --help" };

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      strict: true,
      options: {
        configuration: { type: "string" },
        job: { type: "string", multiple: true },
        variable: { type: "string", multiple: true },
        "masked-variable": { type: "string", multiple: true },
        "file-variable": { type: "string", multiple: true },
        concurrent: { type: "string" },
        "graceful-timeout": { type: "string" },
        driver: { type: "string" },
        "driver-argument": { type: "string", multiple: true },
        "token-server": { type: "string" },
        login: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new JacamarError("usage", error.message, { ...hint, cause: error });
  }
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new JacamarError("usage", `${option} must be a whole number from ${least} to ${most}, not "${text}"`, hint);
}
