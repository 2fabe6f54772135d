import { bashScript } from "../mechanism/bash.ts";
import type { Command } from "../process/command.ts";
import { cleanBash, shellProfile } from "./clean-bash.ts";
import type { StageContext } from "./context.ts";
import type { JobState } from "./state.ts";

/** The command that runs a stage's script on this machine without a container. Throws `shell_failed` without a Bash. */
export function hostCommand(
  state: JobState,
  { account, variables }: Pick<StageContext, "account" | "variables">,
  script: string,
): Command {
  const { shellPath, beginning } = cleanBash(state, account);
  return {
    argv: withoutNewPrivs(state, bashScript(shellPath, shellProfile(variables), script)),
    environment: beginning,
    workingDirectory: state.workspace.base,
  };
}

/** `no_new_privs`: nothing that the script runs gains rights from its file. The configuration allows it only without Podman. */
function withoutNewPrivs(state: JobState, argv: [string, ...string[]]): [string, ...string[]] {
  return state.identity?.noNewPrivs === true ? ["setpriv", "--no-new-privs", "--", ...argv] : argv;
}
