import { parseArguments, usage } from "../terminal/arguments.ts";
import { didYouMean } from "../terminal/nearest.ts";
import { doctorCommand } from "../terminal/commands/doctor.ts";
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

/** Reads the command line. Throws `usage`. */
export function parseDoctorArguments(argv: readonly string[]): DoctorArguments {
  const { values } = parseArguments(doctorCommand, argv);
  const only = values.check ?? [];
  const names = checks.map(({ name }) => name);
  const unknown = only.find((name) => !names.includes(name));
  if (unknown !== undefined) throw usage(doctorCommand, `There is no check "${unknown}"${didYouMean(unknown, names)}`);
  return {
    help: values.help === true,
    user: values.user,
    configuration: values.configuration,
    network: values["no-network"] !== true,
    only,
    json: values.json === true,
  };
}
