import { JacamarError } from "../error/error.ts";
import type { Identity, JobState } from "./state.ts";

/** The identity that the state carries. Throws `state_missing`. */
export function requireIdentity(state: JobState | undefined): Identity {
  if (state?.identity) return state.identity;
  throw new JacamarError("state_missing", "This stage ran without the decision of the config stage", {
    hint: "Check that config_exec in the runner's config.toml calls jacamar-auth: config --configuration FILE.",
  });
}

/** Throws `downscope_failed` unless the account of this process is the one that was decided on. */
export function checkIdentity(account: { readonly name: string; readonly uid: number }, identity: Identity): void {
  if (account.name === identity.name && account.uid === identity.uid) return;
  throw new JacamarError("downscope_failed", "The account of this process is not the one that the job was given to");
}
