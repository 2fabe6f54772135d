import { requireFilter } from "../auth/requirements.ts";
import type { Config } from "../config/schema.ts";

/**
 * Which system calls the processes of a job may make, for people; nothing without a filter. Throws `config_invalid` where no job could run
 * under it.
 *
 * @param runnerId user id of the runner's account.
 */
export function explainFilter(config: Config, runnerId: number): string[] {
  const filter = requireFilter(config, runnerId);
  if (filter === undefined) return [];
  const { kind, names, limitSetuid } = filter;
  const listed = names.join(", ");
  return [
    "\nSystem calls",
    ...(names.length === 0 ? [] : [kind === "block" ? `  all but     ${listed}` : `  only        ${listed}`]),
    ...(limitSetuid ? ["  identity    setuid and setgid to the job's own user and group"] : []),
    ...(config.general.executor === "shell"
      ? []
      : ["  not on the nodes: the scheduler starts the scripts of batch jobs, without this filter"]),
  ];
}
