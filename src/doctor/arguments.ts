import { parseArgs } from "node:util";
import { JacamarError } from "../error/error.ts";
import { checks } from "./checks.ts";

/** What `jacamar doctor` was asked for. */
export interface DoctorArguments {
  readonly help: boolean;
  readonly user: string | undefined;
  readonly configuration: string | undefined;
  readonly network: boolean;
  /** Names of checks; none stands for all. */
  readonly only: readonly string[];
  readonly json: boolean;
}

export const helpText = `Usage: jacamar doctor [options]

Looks at this machine as a job would meet it, and says what is wrong and what to do about it. Nothing is changed.

  --user NAME           as root: become that user first, as for a job, and look at what is the user's, too
  --configuration FILE  the configuration of the jobs (default: /etc/gitlab-runner/jacamar.toml, where it is there)
  --no-network          ask neither GitLab nor registries
  --check NAME          make this check alone; may be repeated
  --json                one JSON object on standard output
  --help                this text

Root runs no jobs, so without --user root looks at the machine alone. Anybody else looks at their own account.

Checks: ${checks.map(({ name }) => name).join(", ")}.
docs/doctor.md describes each one and all that it can find.

Exit code: 0 nothing is wrong (there may be warnings), 1 something is wrong, 2 it could not be looked.
`;

/** Reads the command line. Throws `usage`. */
export function parseDoctorArguments(argv: readonly string[]): DoctorArguments {
  const { values, positionals } = parse(argv);
  if (positionals.length > 0) throw usage(`jacamar doctor takes no "${positionals[0]}"`);
  const only = values.check ?? [];
  const unknown = only.find((name) => !checks.some((check) => check.name === name));
  if (unknown !== undefined) throw usage(`There is no check "${unknown}"`);
  return {
    help: values.help === true,
    user: values.user,
    configuration: values.configuration,
    network: values["no-network"] !== true,
    only,
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
        user: { type: "string" },
        configuration: { type: "string" },
        "no-network": { type: "boolean" },
        check: { type: "string", multiple: true },
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
  return new JacamarError("usage", message, { hint: "See: jacamar doctor --help" });
}
