import { diagnose } from "../doctor/diagnose.ts";
import { JacamarError } from "../error/error.ts";
import { bashEnvironment } from "../mechanism/bash.ts";
import type { Environment } from "../process/command.ts";
import { readLoginEnvironment } from "../process/login-environment.ts";
import { cleanBash, shellProfile } from "./clean-bash.ts";
import type { StageContext } from "./context.ts";
import { loginName } from "./job-files.ts";
import { readPrepared } from "./prepared.ts";
import { type JobState, unpackState } from "./state.ts";

/**
 * The same failure of the site's, with what the checks of `jacamar doctor` find wrong on this machine, as the user who
 * this process is. The failure as it was when they find nothing, or cannot look. Never throws.
 */
export async function explainFailure(error: JacamarError, context: StageContext): Promise<JacamarError> {
  try {
    const state = unpackState(context.environment);
    if (state === undefined) return error;
    const { config, workspace } = state;
    const lines = await diagnose(error, {
      account: context.account,
      config,
      base: workspace.base,
      login: () => loginOf(state, context),
      stop: context.stop,
    });
    // What the failure says itself is no news.
    const news = [...filterLines(state, error), ...lines].filter((line) => !line.includes(error.message));
    if (news.length === 0) return error;
    const found = ["Found on this machine:", ...news.map((line) => `- ${line}`)];
    const hint = [...(error.hint === undefined ? [] : [error.hint]), ...found].join("\n  ");
    return new JacamarError(error.code, error.message, { hint, cause: error.cause });
  } catch {
    // The failure itself must be told, whatever becomes of its explanation.
    return error;
  }
}

/** How a call that the filter blocks looks in what programs say of it. */
const refusedCall = /EPERM|ENOSYS|not permitted|not implemented/i;

/** Programs do not know of the filter that takes a call from them. */
function filterLines({ identity }: JobState, { message, hint = "" }: JacamarError): string[] {
  const filter = identity?.callFilter;
  if (filter === undefined || !refusedCall.test(message + hint)) return [];
  const which = filter.kind === "block" ? shortened(filter.names) : "all system calls that allow_calls does not name";
  return [`[auth.seccomp] blocks ${which}: what failed may need what is blocked`];
}

function shortened(names: readonly string[]): string {
  return names.length <= 8 ? names.join(", ") : `${names.slice(0, 8).join(", ")} and ${names.length - 8} more`;
}

/** What prepare found, or a login now. */
function loginOf(state: JobState, context: StageContext): Promise<Environment> {
  const prepared = readPrepared(state.workspace);
  if (prepared !== undefined) return Promise.resolve(prepared.environment);
  const { shellPath, beginning } = cleanBash(state, context.account);
  const argv = bashEnvironment(shellPath, shellProfile(context.variables), loginName(state.workspace));
  return readLoginEnvironment({ argv, environment: beginning, workingDirectory: "/" }, context.stop);
}
