import { realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { currentAccount } from "../account/account.ts";
import { readUidMin } from "../account/login-definitions.ts";
import { groupsOf, lookUpAccount } from "../account/lookup.ts";
import { type AccountKind, accountKind } from "../auth/account-kind.ts";
import { authorize, type Decision } from "../auth/authorize.ts";
import { keyCacheDirectory } from "../auth/key-cache.ts";
import { keySource } from "../auth/keys.ts";
import { type Reason, refusals } from "../auth/reasons.ts";
import { refuseNoNewPrivs, requireDownscope, requireFilter, requireServer } from "../auth/requirements.ts";
import { type RunAs, runAsScript } from "../auth/runas.ts";
import { idTokenHint } from "../auth/token-hint.ts";
import { type Claims, verifyToken } from "../auth/token.ts";
import { loadConfiguration } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { whyUntrusted } from "../config/trusted-path.ts";
import { whyInsider } from "../downscope/closed-program.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import { UserVariables } from "../gitlab/variables.ts";
import { JobLog } from "../log/job-log.ts";
import { Measurements } from "../measure/measurements.ts";
import type { CallFilter } from "../seccomp/filter.ts";
import { chooseSink, defaultLogging } from "../system-log/sink.ts";
import { makeDirectoryFor } from "../workspace/directories.ts";
import type { Workspace } from "../workspace/layout.ts";
import type { Call } from "./call.ts";
import { answerRunner, workspaceOf } from "./config.ts";
import { readyFilter } from "./ready-filter.ts";
import { type Configured, recordConfig } from "./record-config.ts";
import { readRunnerFiles, requireJob } from "./runner-files.ts";
import type { Identity } from "./state.ts";
import { Telling } from "./telling.ts";

type ConfigCall = Extract<Call, { command: "config" }>;
/** `[auth]` with a door. */
type AuthConfig = NonNullable<Config["auth"]> & { readonly downscope: Identity["downscope"] };

/**
 * The config stage of `jacamar-auth`: decides whose the job is, writes the decision to the system log, and answers the
 * runner. It opens nothing of the user's. A refused job is told in one line without detail, unless `unobfuscated`.
 *
 * Throws `id_token_missing`, `job_refused`, `authorization_failed`, `keys_unavailable`, and what concerns the site.
 */
export async function runAuthorisedConfig(
  environment: Readonly<NodeJS.ProcessEnv>,
  call: ConfigCall,
  stop: AbortSignal,
): Promise<void> {
  const config = await loadConfiguration(call.configuration);
  requireTrusted(call.configuration);
  const auth = requireAuth(config);
  const filter = await loadableFilter(config, auth);
  const job = requireJob(readRunnerFiles(environment, undefined));
  const variables = new UserVariables(environment);
  const question: Question = { config, auth, filter, job, variables, environment };
  await recordConfig({ config, job, variables, measure: new Measurements(), home: undefined }, () =>
    answer(question, call, stop),
  );
}

/** Decides, tells, and answers the runner. */
async function answer(question: Question, call: ConfigCall, stop: AbortSignal): Promise<Configured> {
  const { config, job } = question;
  const telling = new Telling(question, call.unobfuscated);
  try {
    const { workspace, identity } = await decideOn(question, telling, stop);
    answerRunner(config, job, workspace, identity);
    return { account: identity.name, base: workspace.base };
  } catch (error) {
    // What was told already is no error of the way to the decision.
    if (error instanceof Told) throw error.error;
    if (!(error instanceof JacamarError) || error.code === "log_failed") throw error;
    throw await telling.fail(error);
  }
}

/** A refusal that both logs have. Stays in this file. */
class Told extends Error {
  readonly error: JacamarError;

  constructor(error: JacamarError) {
    super(error.message);
    this.error = error;
  }
}

/** Throws {@link Told} for a job that is refused. */
async function decideOn(
  question: Question,
  telling: Telling,
  stop: AbortSignal,
): Promise<{ workspace: Workspace; identity: Identity }> {
  const { config, auth, filter, job, variables } = question;
  checkSizes(auth, variables);
  const claims = await verifiedClaims(question, telling);
  telling.identify(claims);
  const decision = await decide(question, claims, stop);
  if (decision.userMessage !== undefined) new JobLog(2).say(decision.userMessage);
  if (decision.scriptLog !== "") telling.note([`RunAs wrote: ${decision.scriptLog}`]);
  telling.note(decision.reasons.map(reasonText));
  if (!decision.allowed) {
    const isJobs = refusals[decision.code].blame === "job";
    throw new Told(await telling.refuse(isJobs ? "job_refused" : "authorization_failed"));
  }
  const { account, groups, dataDir } = decision;
  if (auth.downscope === "setuid" && process.geteuid?.() !== 0) {
    const numbers = groups.map(({ gid }) => gid);
    const insider = whyInsider(process.execPath, account.name, numbers);
    if (insider !== undefined) {
      telling.note([insider]);
      throw new Told(await telling.refuse("authorization_failed"));
    }
  }
  const workspace = workspaceOf({ config, job, variables, account, dataDir });
  if (auth.root_dir_creation) makeBase(workspace.base, account);
  await telling.allow(account.name);
  return { workspace, identity: identityOf(auth, account, filter) };
}

/** Puts the question to the rules, with the system's own name service, GitLab, and the site's script to ask. */
function decide(question: Question, claims: Claims, stop: AbortSignal): Promise<Decision> {
  const { auth, job, variables } = question;
  const euid = process.geteuid?.() ?? 0;
  return authorize({
    claims,
    job,
    auth,
    wish: (name) => variables.get(name),
    accounts: { account: lookUpAccount, groups: groupsOf },
    runAs: runAsOf(auth, euid, stop),
    accountKind: auth.ask_account_kind ? () => kindOf(question, claims) : undefined,
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

function kindOf({ config, job, environment }: Question, claims: Claims): Promise<AccountKind> {
  return accountKind(claims, {
    server: requireServer(config),
    jobToken: job.token,
    cacheDirectory: keyCacheDirectory(currentAccount()),
    tlsCaFile: config.general["tls-ca-file"],
    environment,
  });
}

function reasonText({ rule, verdict, detail }: Reason): string {
  return `${rule}: ${verdict}: ${detail}`;
}

/** Whoever could exchange the configuration could be anybody. Throws `config_unreadable`. */
function requireTrusted(file: string): void {
  const untrusted = whyUntrusted(resolve(file), { forbidden: 0o022, sticky: true, makeDirectory: false });
  if (untrusted === undefined) return;
  throw new JacamarError("config_unreadable", `Cannot use the configuration file "${file}": ${untrusted}`, {
    hint: "It and every directory above it must belong to root or to the account of jacamar-auth, and nobody else may write there.",
  });
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
    case "missing":
      throw new JacamarError(
        "id_token_missing",
        "The job has no ID token, so it is not known on whose behalf it runs",
        {
          hint: `Add to the job in .gitlab-ci.yml:\n${idTokenHint(variable, auth.jwt_required_aud ?? server.issuer)}`,
        },
      );
    case "refused":
      telling.note([...verdict.notes, `${verdict.code}: ${verdict.reason}`]);
      throw new Told(await telling.refuse("job_refused"));
  }
}

/** All that a decision is made of. */
interface Question {
  readonly config: Config;
  readonly auth: AuthConfig & { readonly downscope: Identity["downscope"] };
  readonly filter: CallFilter | undefined;
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

/**
 * The filter on system calls, which this machine can make: what is wrong is told before a job has begun. Throws `config_invalid` or
 * `downscope_failed`.
 */
async function loadableFilter(config: Config, auth: AuthConfig): Promise<CallFilter | undefined> {
  const callFilter = requireFilter(config, process.geteuid?.());
  await readyFilter({ uid: 0, gid: 0, noNewPrivs: auth.no_new_privs, callFilter });
  return callFilter;
}

function identityOf(
  auth: AuthConfig,
  account: { readonly name: string; readonly uid: number; readonly gid: number },
  filter: CallFilter | undefined,
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
    callFilter: filter,
  };
}
