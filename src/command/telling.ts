import type { Claims } from "../auth/token.ts";
import type { Config } from "../config/schema.ts";
import { errorCodes } from "../error/codes.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import type { UserVariables } from "../gitlab/variables.ts";
import { newEntryId } from "../system-log/entry.ts";
import { writeEntry } from "../system-log/system-log.ts";

/** Which job a decision is about. */
export interface Matter {
  readonly config: Config;
  readonly job: Job;
  readonly variables: UserVariables;
}

/** Tells a decision: every reason to the system log, one plain line and an id to the user. One for each decision. */
export class Telling {
  readonly #matter: Matter;
  readonly #unobfuscated: boolean;
  readonly #id = newEntryId();
  #reasons: readonly string[] = [];
  #claims: Claims | undefined;

  /** @param unobfuscated the user may see the reason, too. */
  constructor(matter: Matter, unobfuscated: boolean) {
    this.#matter = matter;
    this.#unobfuscated = unobfuscated;
  }

  /** What led to the decision, in its order, for the system log. */
  note(reasons: readonly string[]): void {
    this.#reasons = [...this.#reasons, ...reasons];
  }

  /** Whose job it is, by a token that was verified. */
  identify(claims: Claims): void {
    this.#claims = claims;
  }

  /** Throws `log_failed`: a job whose decision cannot be logged does not run. */
  async allow(account: string): Promise<void> {
    await this.#write("allowed", "The job may run", account);
  }

  /** Logs the refusal, and returns the error that tells the user. The last reason is the one. Throws `log_failed`. */
  async refuse(code: "job_refused" | "authorization_failed"): Promise<JacamarError> {
    await this.#write("refused", "The job may not run", undefined);
    return this.#plain(code, "This job may not run here", this.#reasons.at(-1) ?? "no reason");
  }

  /**
   * Logs that the job does not run for an error on the way to the decision, and returns the error for the user. What tells of the
   * site's network is said without detail. Throws `log_failed`.
   */
  async fail(error: JacamarError): Promise<JacamarError> {
    // What is the job's fault quotes the job, and what a user wrote is not for a log.
    const reason = error.blame === "job" ? errorCodes[error.code].means : error.message;
    this.note([`${error.code}: ${reason}`]);
    await this.#write("refused", "The job does not run", undefined);
    if (error.code !== "keys_unavailable") return error;
    return this.#plain(error.code, "It cannot be found out whose this job is", error.message, error.hint);
  }

  #plain(code: JacamarError["code"], message: string, reason: string, hint?: string): JacamarError {
    const detail = this.#unobfuscated ? `: ${reason}` : "";
    const where = "The administrators find the reason in their log under this id.";
    return new JacamarError(code, `${message} (id ${this.#id})${detail}`, {
      id: this.#id,
      hint: hint === undefined ? where : `${where}\n  ${hint}`,
    });
  }

  async #write(kind: "allowed" | "refused", message: string, account: string | undefined): Promise<void> {
    const { config, job, variables } = this.#matter;
    const claims = this.#claims;
    await writeEntry(config.auth?.logging, {
      kind,
      reasons: this.#reasons,
      id: this.#id,
      message,
      time: new Date(),
      stage: "config",
      instance: config.general.name,
      jobId: job.id,
      projectId: job.projectId,
      projectPath: (claims?.projectPath ?? job.projectPath) || undefined,
      pipelineId: Number(claims?.pipelineId ?? job.pipelineId) || undefined,
      runnerShortToken: variables.get("CI_RUNNER_SHORT_TOKEN")?.text,
      gitlabUser: claims?.userLogin,
      gitlabUserId: claims === undefined ? undefined : Number(claims.userId),
      account,
    });
  }
}
