import type { Account } from "../account/account.ts";
import { JacamarError } from "../error/error.ts";
import type { UserVariables } from "../gitlab/variables.ts";
import { loginBeginning, type Profile } from "../mechanism/bash.ts";
import { systemRuntimeDirectory } from "../podman/surroundings.ts";
import type { Environment } from "../process/command.ts";
import { isExecutable } from "../process/program-path.ts";
import type { JobState } from "./state.ts";

const usualPlaces = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"];

/** Bash, and the environment with which its login begins. Throws `shell_failed` when there is no Bash. */
export function cleanBash(
  { config, identity }: Pick<JobState, "config" | "identity">,
  account: Account,
): { shellPath: string; beginning: Environment } {
  const shellPath = config.general.shell_path ?? usualPlaces.find(isExecutable);
  if (shellPath === undefined) {
    throw new JacamarError("shell_failed", `There is no Bash in ${usualPlaces.join(", ")}`, {
      hint: "The administrator sets its place with shell_path in [general].",
    });
  }
  const beginning = loginBeginning(account, shellPath, systemRuntimeDirectory(account));
  return { shellPath, beginning: { ...beginning, ...assignments(identity?.environment ?? []) } };
}

/** `KEY=VALUE` each, as `downscope_env` has them. */
function assignments(list: readonly string[]): Environment {
  return Object.fromEntries(list.map((each) => [each.slice(0, each.indexOf("=")), each.slice(each.indexOf("=") + 1)]));
}

/** Which of Bash's start-up files the user wants. */
export function shellProfile(variables: UserVariables): Profile {
  if (variables.isOn("JACAMAR_NO_BASH_PROFILE")) return "none";
  return variables.isOn("JACAMAR_ETC_PROFILE_ONLY") ? "etc-profile-only" : "login";
}
