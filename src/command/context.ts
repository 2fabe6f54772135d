import type { Account } from "../account/account.ts";
import { currentAccount } from "../account/account.ts";
import { JacamarError } from "../error/error.ts";
import { UserVariables } from "../gitlab/variables.ts";
import { Measurements } from "../measure/measurements.ts";
import type { RunnerFiles } from "./runner-files.ts";

/** What every stage has in hand. */
export interface StageContext {
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly variables: UserVariables;
  readonly account: Account;
  readonly files: RunnerFiles;
  /** Fires when the runner wants the stage to end. */
  readonly stop: AbortSignal;
  /** Collects what the stage took and found out. */
  readonly measure: Measurements;
}

/**
 * What a stage has in hand, for the account that this process has from now on. Throws `account_unknown`.
 *
 * @param files read before this process took that account.
 */
export function openContext(
  environment: Readonly<NodeJS.ProcessEnv>,
  files: RunnerFiles,
  stop: AbortSignal,
): StageContext {
  const account = currentAccount();
  if (account.uid === 0) {
    throw new JacamarError("account_unknown", "Jobs never run as root", {
      hint: "Let GitLab Runner call this program as an ordinary account.",
    });
  }
  return {
    environment,
    variables: new UserVariables(environment),
    account,
    files,
    stop,
    measure: new Measurements(),
  };
}

/** Throws `interrupted` when the runner wants the stage to end. */
export function throwIfStopped(stop: AbortSignal): void {
  if (stop.aborted)
    throw new JacamarError("interrupted", "GitLab Runner ended this stage (cancelled, timed out or shut down)");
}
