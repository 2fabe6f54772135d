import { usualConfiguration } from "../config/usual-place.ts";
import { parseArguments, usage } from "../terminal/arguments.ts";
import { reapCommand } from "../terminal/commands/reap.ts";

/** What the user asked for on the command line. */
export interface ReapArguments {
  readonly help: boolean;
  readonly configuration: string;
  /** Remove what is found; without it, it is only told. */
  readonly yes: boolean;
  /** As root: whose. `all`: every user of the system who has files of jobs. Undefined: one's own. */
  readonly of: { readonly user: string } | "all" | undefined;
  /** The scheduler's number of a job that has ended on this node: its containers go, whatever became of the CI job. */
  readonly batchJob: string | undefined;
}

/** Reads the arguments of `jacamar reap`. Throws `usage`. */
export function parseReapArguments(argv: readonly string[]): ReapArguments {
  const { values } = parseArguments(reapCommand, argv);
  const { user, "all-users": all, "batch-job": batchJob } = values;
  if (values.help !== true) {
    if (all === true && user !== undefined) throw usage(reapCommand, "Give --user or --all-users, not both");
    if (batchJob !== undefined && !/^[\x21-\x7e]{1,100}$/.test(batchJob)) {
      throw usage(reapCommand, "--batch-job is no number of a scheduler's job");
    }
  }
  return {
    help: values.help === true,
    configuration: values.configuration ?? usualConfiguration,
    yes: values.yes === true,
    of: all === true ? "all" : user === undefined ? undefined : { user },
    batchJob,
  };
}
