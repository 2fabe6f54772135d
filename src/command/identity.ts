import type { Account } from "../account/account.ts";
import { readUidMin } from "../account/login-definitions.ts";
import { whyImpersonal } from "../account/system-account.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import type { Identity, JobState } from "./state.ts";

/**
 * The identity that the state carries. Throws `state_missing`; `downscope_failed` for an account of the system, which the
 * config stage never decides on.
 */
export function requireIdentity(state: JobState | undefined): Identity {
  if (state?.identity) {
    if (state.identity.uid >= readUidMin()) return state.identity;
    throw new JacamarError("downscope_failed", "The account that the job was given to is one of the system's");
  }
  throw new JacamarError("state_missing", "This stage ran without the decision of the config stage", {
    hint: "Check that config_exec in the runner's config.toml calls jacamar-auth: config --configuration FILE.",
  });
}

/**
 * Throws `downscope_failed` unless the account of this process is the one that was decided on, and one that the config stage may
 * have decided on: whoever has the runner's account could forge the decision, and some services' accounts are as good as root (`slurm`).
 */
export function checkIdentity(account: Omit<Account, "home">, identity: Identity): void {
  if (account.name !== identity.name || account.uid !== identity.uid || account.gid !== identity.gid) {
    throw new JacamarError("downscope_failed", "The account of this process is not the one that the job was given to");
  }
  if (whyImpersonal(account, readUidMin()) === undefined) return;
  throw new JacamarError("downscope_failed", "The account that the job was given to is one of the system's");
}

/**
 * Throws `state_missing` when the decision was made for another job than the one whose response is here. Cleanup comes without a
 * response, too.
 */
export function checkJob(state: JobState | undefined, job: Job | JacamarError): void {
  if (state === undefined || job instanceof JacamarError || state.jobKey.startsWith(`${job.id}-`)) return;
  throw new JacamarError("state_missing", "The decision that the config stage handed on was made for another job");
}
