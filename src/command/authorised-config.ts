import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { currentAccount } from "../account/account.ts";
import { readUidMin } from "../account/login-definitions.ts";
import { groupsOf, lookUpAccount } from "../account/lookup.ts";
import { authorize, type Decision } from "../auth/authorize.ts";
import { keyCacheDirectory } from "../auth/key-cache.ts";
import { keySource } from "../auth/keys.ts";
import { type Reason, refusals } from "../auth/reasons.ts";
import { refuseNoNewPrivs, requireDownscope, requireServer } from "../auth/requirements.ts";
import { type RunAs, runAsScript } from "../auth/runas.ts";
import { idTokenHint } from "../auth/token-hint.ts";
import { type Claims, verifyToken } from "../auth/token.ts";
import { loadConfiguration } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import { UserVariables } from "../gitlab/variables.ts";
import { JobLog } from "../log/job-log.ts";
import { Measurements } from "../measure/measurements.ts";
import { type EntryFacts, newEntryId } from "../system-log/entry.ts";
import { chooseSink, defaultLogging } from "../system-log/sink.ts";
import { writeEntry } from "../system-log/system-log.ts";
import { makeDirectoryFor } from "../workspace/directories.ts";
import type { Call } from "./call.ts";
import { answerRunner, workspaceOf } from "./config.ts";
import { type Configured, recordConfig } from "./record-config.ts";
import { readRunnerFiles, requireJob } from "./runner-files.ts";
import type { Identity } from "./state.ts";

type ConfigCall = Extract<Call, { command: "config" }>;
type AuthConfig = NonNullable<Config["auth"]>;

/**
 * The config stage of `jacamar-auth`: decides whose the job is, writes the decision to the system log, and answers the
 * runner. It opens nothing of the user's. A refused job is told in one line without detail, unless `unobfuscated`.
 *
 * Throws `id_token_missing`, `job_refused`, and what concerns the site.
 */
export async function runAuthorisedConfig(
  environment: Readonly<NodeJS.ProcessEnv>,
  call: ConfigCall,
  stop: AbortSignal,
): Promise<void> {
  const config = await loadConfiguration(call.configuration);
  const auth = requireAuth(config);
  const job = requireJob(readRunnerFiles(environment, undefined));
  const variables = new UserVariables(environment);
  const question: Question = { config, auth, job, variables, environment };
  await recordConfig({ config, job, variables, measure: new Measurements(), home: undefined }, () =>
    answer(question, call, stop),
  );
}

/** Decides, tells, and answers the runner. */
async function answer(question: Question, call: ConfigCall, stop: AbortSignal): Promise<Configured> {
  const { config, auth, job, variables } = question;
  const telling = new Telling(question, call.unobfuscated);
  checkSizes(auth, variables);

  const claims = await verifiedClaims(question, telling);
  const decision = await decide(question, claims, stop);
  if (decision.userMessage !== undefined) new JobLog(2).say(decision.userMessage);
  if (decision.scriptLog !== "") telling.note([`RunAs wrote: ${decision.scriptLog}`]);
  if (!decision.allowed) throw await telling.refuse(decision, claims);

  const { account, dataDir } = decision;
  const workspace = workspaceOf({ config, job, variables, account, dataDir });
  if (auth.root_dir_creation) makeBase(workspace.base, account);
  await telling.allow(decision.reasons.map(reasonText), claims, account.name);
  answerRunner(config, job, workspace, identityOf(auth, account));
  return { account: account.name, base: workspace.base };
}

/** Puts the question to the rules, with the system's own name service and the site's script to ask. */
function decide({ auth, job, variables }: Question, claims: Claims, stop: AbortSignal): Promise<Decision> {
  const euid = process.geteuid?.() ?? 0;
  return authorize({
    claims,
    job,
    auth,
    wish: (name) => variables.get(name),
    accounts: { account: lookUpAccount, groups: groupsOf },
    runAs: runAsOf(auth, euid, stop),
    uidMin: readUidMin(),
    euid,
  });
}

function runAsOf({ runas }: AuthConfig, euid: number, stop: AbortSignal): RunAs | undefined {
  const script = runas?.validation_script;
  return runas && script !== undefined
    ? runAsScript({ ...runas, validation_script: script }, { euid, stop })
    : undefined;
}

function reasonText({ rule, verdict, detail }: Reason): string {
  return `${rule}: ${verdict}: ${detail}`;
}

/** `[auth]`, without which nobody is authorised. Throws `config_invalid`. */
function requireAuth(config: Config): ReturnType<typeof requireDownscope> {
  const auth = requireDownscope(config);
  refuseNoNewPrivs(config);
  chooseSink(auth.logging ?? defaultLogging);
  return auth;
}

/** Throws `job_refused` for a CI variable that is larger than the administrator allows. */
function checkSizes(auth: AuthConfig, variables: UserVariables): void {
  const limit = auth.max_env_chars;
  if (limit === undefined) return;
  const large = variables.withPrefix("").find(({ text }) => text.length > limit);
  if (large) {
    throw new JacamarError(
      "job_refused",
      `The CI variable ${large.name} has ${large.text.length} characters; at most ${limit} are allowed here`,
      {
        hint: "Put large values into files of the repository or into artifacts.",
      },
    );
  }
}

async function verifiedClaims(
  { config, auth, job, variables, environment }: Question,
  telling: Telling,
): Promise<Claims> {
  const { jwt_env_variable: variable } = config.general;
  const server = requireServer(config);
  const verdict = await verifyToken({
    token: variables.get(variable)?.text,
    job,
    server,
    keys: keySource({
      server,
      cacheDirectory: keyCacheDirectory(currentAccount()),
      tlsCaFile: config.general["tls-ca-file"],
      environment,
    }),
    requiredAudience: auth.jwt_required_aud,
    slackSeconds: auth.jwt_exp_delay,
    now: new Date(),
  });
  switch (verdict.kind) {
    case "verified":
      telling.note(verdict.notes);
      return verdict.claims;
    case "missing": {
      await telling.refuseToken(`id_token_missing: the variable ${variable} is not set`);
      throw new JacamarError(
        "id_token_missing",
        "The job has no ID token, so it is not known on whose behalf it runs",
        {
          hint: `Add to the job in .gitlab-ci.yml:\n${idTokenHint(variable, auth.jwt_required_aud ?? server.issuer)}`,
        },
      );
    }
    case "refused":
      telling.note(verdict.notes);
      throw await telling.refuseToken(`${verdict.code}: ${verdict.reason}`);
  }
}

/** All that a decision is made of. */
interface Question {
  readonly config: Config;
  readonly auth: AuthConfig & { readonly downscope: Identity["downscope"] };
  readonly job: Job;
  readonly variables: UserVariables;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
}

/** As root, the user's own directory below `data_dir`. Throws `config_invalid` without the rights, else as the making does. */
function makeBase(base: string, account: { readonly uid: number; readonly gid: number; readonly home: string }): void {
  if (base === account.home || base.startsWith(`${account.home}/`)) return;
  if (process.geteuid?.() !== 0) {
    throw new JacamarError("config_invalid", "root_dir_creation needs root, and jacamar-auth runs as another account");
  }
  makeDirectoryFor(base, account);
}

function identityOf(
  auth: AuthConfig & { readonly downscope: Identity["downscope"] },
  account: { readonly name: string; readonly uid: number; readonly gid: number },
): Identity {
  const own = auth.downscope === "none" ? currentAccount() : account;
  return {
    name: own.name,
    uid: own.uid,
    gid: own.gid,
    downscope: auth.downscope,
    jacamarPath: auth.jacamar_path ?? `${dirname(realpathSync(process.argv[1] ?? ""))}/jacamar`,
    environment: auth.downscope_env,
    noNewPrivs: auth.no_new_privs,
  };
}

/** Tells the decision: every reason to the system log, one plain line and an id to the user. */
class Telling {
  readonly #question: Question;
  readonly #unobfuscated: boolean;
  readonly #id = newEntryId();
  #notes: readonly string[] = [];

  constructor(question: Question, unobfuscated: boolean) {
    this.#question = question;
    this.#unobfuscated = unobfuscated;
  }

  /** What was not as it should be on the way to the decision, for the system log. */
  note(notes: readonly string[]): void {
    this.#notes = [...this.#notes, ...notes];
  }

  /** Throws `log_failed`: a job whose decision cannot be logged does not run. */
  async allow(reasons: readonly string[], claims: Claims, account: string): Promise<void> {
    await this.#write("allowed", "The job may run", reasons, claims, account);
  }

  /** Logs that the token did not tell who it is, and returns the error that tells the user. */
  refuseToken(reason: string): Promise<JacamarError> {
    return this.#refuse("job_refused", [reason], undefined);
  }

  /** Logs the refusal and returns the error that tells the user. */
  refuse(decision: Extract<Decision, { allowed: false }>, claims: Claims): Promise<JacamarError> {
    const isJobs = refusals[decision.code].blame === "job";
    return this.#refuse(isJobs ? "job_refused" : "authorization_failed", decision.reasons.map(reasonText), claims);
  }

  async #refuse(
    code: "job_refused" | "authorization_failed",
    reasons: readonly string[],
    claims: Claims | undefined,
  ): Promise<JacamarError> {
    await this.#write("refused", "The job may not run", reasons, claims, undefined);
    const detail = this.#unobfuscated ? `: ${reasons.at(-1) ?? "no reason"}` : "";
    return new JacamarError(code, `This job may not run here (id ${this.#id})${detail}`, {
      hint: "The administrators find the reason in their log under this id.",
      id: this.#id,
    });
  }

  async #write(
    kind: "allowed" | "refused",
    message: string,
    reasons: readonly string[],
    claims: Claims | undefined,
    account: string | undefined,
  ): Promise<void> {
    const { config, auth, job, variables } = this.#question;
    const facts: EntryFacts = {
      id: this.#id,
      message,
      time: new Date(),
      stage: "config",
      instance: config.general.name,
      jobId: job.id,
      projectId: job.projectId,
      projectPath: claims?.projectPath ?? job.projectPath,
      pipelineId: job.pipelineId,
      runnerShortToken: variables.get("CI_RUNNER_SHORT_TOKEN")?.text,
      gitlabUser: claims?.userLogin,
      gitlabUserId: claims === undefined ? undefined : Number(claims.userId),
      account,
    };
    await writeEntry(auth.logging, { kind, reasons: [...this.#notes, ...reasons], ...facts });
  }
}
