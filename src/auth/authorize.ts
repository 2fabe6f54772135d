import type { AccountAnswer, Group, SystemAccount } from "../account/lookup.ts";
import type { Job } from "../gitlab/job.ts";
import type { Wish } from "../gitlab/variables.ts";
import type { AccountKind } from "./account-kind.ts";
import { checkNumber, checkRunner, findAccount } from "./account-rules.ts";
import { type BotSign, botSign } from "./bot-account.ts";
import { type AuthConfig, applyLists, applyShellList, type Listed, type ListVerdict } from "./lists.ts";
import { type AccountName, isAccountName, isLogin } from "./name.ts";
import { quoted, type Reason, type RefusalCode, type Rule } from "./reasons.ts";
import { ask, Refusal } from "./refusal.ts";
import type { RunAs } from "./runas.ts";
import type { Claims } from "./token.ts";

/** What the decision reads of a verified token. */
export type VerifiedClaims = Pick<
  Claims,
  "userLogin" | "userId" | "userEmail" | "userIdentities" | "pipelineId" | "pipelineSource" | "jobId" | "texts"
>;

/** How the system is asked for accounts: `lookUpAccount()` and `groupsOf()`. */
export interface AccountLookUps {
  readonly account: (name: AccountName) => Promise<AccountAnswer>;
  readonly groups: (account: SystemAccount) => Promise<readonly Group[]>;
}

/** All that the decision depends on. */
export interface AuthorizeInput {
  readonly claims: VerifiedClaims;
  readonly job: Pick<Job, "id" | "pipelineId">;
  readonly auth: AuthConfig;
  /** What the user wrote into a CI variable: for `user_variable` alone. */
  readonly wish: (name: string) => Wish | undefined;
  readonly accounts: AccountLookUps;
  /** The site's script; it must be there when `validation_script` is set. */
  readonly runAs: RunAs | undefined;
  /** Asks GitLab what kind of account it is; undefined: only name and token tell. An answer `unknown` refuses the job. */
  readonly accountKind: (() => Promise<AccountKind>) | undefined;
  readonly uidMin: number;
  /** The account that the driver runs as. */
  readonly euid: number;
}

/** Why a job may run, and as whom; or why not. `userMessage` is RunAs's, for the job log; `scriptLog` is for the system log. */
export type Decision =
  | {
      readonly allowed: true;
      readonly account: SystemAccount;
      readonly groups: readonly Group[];
      /** RunAs's in place of `data_dir`. */
      readonly dataDir: string | undefined;
      readonly userMessage: string | undefined;
      readonly scriptLog: string;
      readonly reasons: readonly Reason[];
    }
  | {
      readonly allowed: false;
      readonly code: RefusalCode;
      readonly userMessage: string | undefined;
      readonly scriptLog: string;
      readonly reasons: readonly Reason[];
    };

/**
 * Whose account a job runs in, or that it does not run. The account is the one that has the login of the signed token as its
 * name, byte for byte, unless the site's RunAs script names another; nothing else maps it. Whatever named it, it is never
 * root, the system's, or the runner's own, and the lists of `[auth]` hold for it. docs/authorization.md has every rule.
 *
 * Asks nothing but the functions in its input. A refusal is a value; that the name service fails is one, too.
 */
export async function authorize(input: AuthorizeInput & { readonly claims: Claims }): Promise<Decision> {
  return decide(input);
}

/** {@link authorize} for tests, whose claims nobody signed. */
export async function decide(input: AuthorizeInput): Promise<Decision> {
  const reasons: Reason[] = [];
  const course: Course = { reasons, userMessage: undefined, scriptLog: "", dataDir: undefined };
  try {
    const { account, groups } = await identify(input, course);
    const { dataDir, userMessage, scriptLog } = course;
    return { allowed: true, account, groups, dataDir, userMessage, scriptLog, reasons };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    reasons.push({ rule: error.rule, verdict: "refuse", detail: error.message });
    return { allowed: false, code: error.code, userMessage: course.userMessage, scriptLog: course.scriptLog, reasons };
  }
}

/** What has come out so far. */
interface Course {
  readonly reasons: Reason[];
  userMessage: string | undefined;
  scriptLog: string;
  dataDir: string | undefined;
}

async function identify(
  input: AuthorizeInput,
  course: Course,
): Promise<{ account: SystemAccount; groups: readonly Group[] }> {
  const { auth, claims } = input;
  function pass(rule: Rule, detail: string): void {
    course.reasons.push({ rule, verdict: "pass", detail });
  }

  if (auth.downscope === undefined) {
    throw new Refusal("downscope", "downscope_unset", "[auth] does not set downscope");
  }
  checkJob(input);
  pass("job", `the ID token is of job ${input.job.id}`);
  pass("pipeline_source", checkPipelineSource(input));
  if (!isLogin(claims.userLogin)) {
    throw new Refusal("login", "login_invalid", `GitLab gives no login such as ${quoted(claims.userLogin)}`);
  }
  pass("login", `the ID token is ${quoted(claims.userLogin)}'s, user ${claims.userId} of GitLab`);
  const bot = await checkBot(input, pass);
  if (auth.lists_pre_validation) await checkListsBefore(input, pass);
  const name = await chooseName(input, bot, course, pass);
  if (!isAccountName(name)) {
    throw new Refusal("name", "account_name_invalid", `${quoted(name)} can be no account of this system`);
  }
  pass("name", `${quoted(name)} is a valid name`);
  const account = await findAccount(input.accounts.account, name);
  pass("account", `the system knows ${quoted(name)} as number ${account.uid}`);
  checkNumber(account, input.uidMin);
  pass("number", `${account.uid} is not below UID_MIN, ${input.uidMin}`);
  pass("runner", checkRunner(account, auth.downscope, input.euid));
  const groups = await findGroups(input, account);
  const listed: Listed = { name, ...namesOf(groups), shell: account.shell };
  pass("lists", heed("lists", "list_refused", applyLists(listed, auth)));
  pass("shell", heed("shell", "shell_refused", applyShellList(listed, auth)));
  return { account, groups };
}

/** Verifying the token has seen to it already. It is cheap to ask again, and nothing else holds user and job together. */
function checkJob({ claims, job }: AuthorizeInput): void {
  // 0: from a runner that does not hand the pipeline over.
  const isPipeline = job.pipelineId === 0 || claims.pipelineId === String(job.pipelineId);
  if (claims.jobId === job.id && isPipeline) return;
  throw new Refusal("job", "token_of_other_job", `the ID token is of job ${quoted(claims.jobId)}, not of ${job.id}`);
}

function checkPipelineSource({ auth, claims }: AuthorizeInput): string {
  const sources = auth.pipeline_source_allowlist;
  const source = quoted(claims.pipelineSource);
  if (!sources) return `any pipeline source may run, also ${source}`;
  if (sources.includes(claims.pipelineSource)) return `pipeline_source_allowlist names ${source}`;
  throw new Refusal("pipeline_source", "pipeline_source_refused", `pipeline_source_allowlist does not name ${source}`);
}

async function checkBot(
  { auth, claims, accountKind }: AuthorizeInput,
  pass: (rule: Rule, detail: string) => void,
): Promise<BotSign | undefined> {
  let sign = botSign({ login: claims.userLogin, email: claims.userEmail, texts: claims.texts });
  // Where RunAs decides on all bots, it does not matter who is one.
  const matters = !auth.allow_bot_accounts || auth.runas === undefined;
  let asked = "GitLab was not asked";
  if (!sign && accountKind && matters) {
    const { kind, detail } = await accountKind();
    if (kind === "unknown") throw new Refusal("bot", "bot_unknown", detail);
    if (kind === "bot") sign = { named: false, detail };
    asked = detail;
  }
  if (!sign) {
    pass("bot", `nothing says that ${quoted(claims.userLogin)} is a bot; ${asked}`);
    return undefined;
  }
  if (!auth.allow_bot_accounts) throw new Refusal("bot", "bot_refused", `${sign.detail}; allow_bot_accounts is off`);
  pass("bot", `${sign.detail}; allow_bot_accounts is on`);
  return sign;
}

/** `lists_pre_validation`. A login that is no account is in no group and has no shell: only a list of users can name it. */
async function checkListsBefore(input: AuthorizeInput, pass: (rule: Rule, detail: string) => void): Promise<void> {
  const { auth, claims } = input;
  if (auth.runas?.validation_script === undefined) return;
  const login = claims.userLogin;
  const answer = isAccountName(login) ? await ask("runas_lists", () => input.accounts.account(login)) : undefined;
  const account = answer?.found === true && answer.account.name === login ? answer.account : undefined;
  const groups = account ? await ask("runas_lists", () => input.accounts.groups(account)) : [];
  const listed: Listed = { name: login, ...namesOf(groups), shell: account?.shell };
  pass("runas_lists", heed("runas_lists", "list_refused", applyLists(listed, auth)));
  pass("runas_lists", heed("runas_lists", "shell_refused", applyShellList(listed, auth)));
}

/** The only place in which a login becomes a name of this system. */
async function chooseName(
  input: AuthorizeInput,
  bot: BotSign | undefined,
  course: Course,
  pass: (rule: Rule, detail: string) => void,
): Promise<string> {
  const { auth, claims, runAs } = input;
  const login = claims.userLogin;
  if (auth.runas === undefined) {
    // Whoever may make service accounts in GitLab could give one the name of a colleague's account here (CVE-2026-107589).
    if (bot && !bot.named && auth.user_allowlist?.includes(login) !== true) {
      throw new Refusal(
        "runas",
        "bot_needs_runas",
        `somebody chose the name of the bot ${quoted(login)}; it needs RunAs, or its name in user_allowlist`,
      );
    }
    pass("runas", "no RunAs: the account has the name of the login");
    return login;
  }
  if (auth.runas.validation_script === undefined || !runAs) {
    throw new Refusal("runas", "runas_incomplete", "[auth.runas] does not set validation_script");
  }
  const targetUser = wishedAccount(input, auth.runas.user_variable);
  const answer = await runAs({
    currentUser: login,
    targetUser,
    texts: claims.texts,
    userIdentities: claims.userIdentities,
  });
  course.userMessage = answer.userMessage;
  course.scriptLog = answer.scriptLog;
  if (!answer.mapped) throw new Refusal("runas", answer.code, answer.detail);
  course.dataDir = answer.dataDir;
  pass("runas", answer.detail);
  return answer.username;
}

function wishedAccount({ wish }: AuthorizeInput, variable: string | undefined): AccountName | undefined {
  const text = variable === undefined ? undefined : wish(variable)?.text;
  if (text === undefined || text === "") return undefined;
  if (isAccountName(text)) return text;
  throw new Refusal("runas", "runas_target_invalid", `${variable} asks for ${quoted(text)}, which can be no account`);
}

async function findGroups({ accounts }: AuthorizeInput, account: SystemAccount): Promise<readonly Group[]> {
  return ask("lists", () => accounts.groups(account));
}

function namesOf(groups: readonly Group[]): Pick<Listed, "groups" | "namelessGroups"> {
  return {
    groups: groups.flatMap(({ name }) => (name === undefined ? [] : [name])),
    namelessGroups: groups.flatMap(({ gid, name }) => (name === undefined ? [gid] : [])),
  };
}

/** What a list says, or the refusal. */
function heed(rule: Rule, code: RefusalCode, verdict: ListVerdict): string {
  if (verdict.allowed) return verdict.detail;
  throw new Refusal(rule, verdict.unsure === true ? "name_service_failed" : code, verdict.detail);
}
