import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Account, currentAccount } from "../account/account.ts";
import { jobKeyOf, workspaceOf } from "../command/config.ts";
import type { JobState } from "../command/state.ts";
import { loadConfiguration } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { type Job, parseJob } from "../gitlab/job.ts";
import { newJobLife } from "../gitlab/job-life.ts";
import { UserVariables } from "../gitlab/variables.ts";
import { printable, printableLine } from "../log/job-log.ts";
import { explainCommand } from "../terminal/commands/explain.ts";
import { helpText } from "../terminal/help.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { describeJob } from "../try/described-job.ts";
import { version } from "../version.ts";
import { type ExplainArguments, parseExplainArguments } from "./arguments.ts";
import { explainIdentity } from "./identity.ts";
import { explainFilter } from "./system-calls.ts";
import { explainStages } from "./stages.ts";

/**
 * `jacamar explain`: tells what would become of a job, by the code that would do it. Returns 0 when the job would run, 1 when it
 * would be refused. Nothing is executed but the name service asked.
 *
 * Throws `usage`, `config_invalid`, `config_unreadable` or `job_response_invalid`.
 */
export async function runExplain(argv: readonly string[], terminal: Terminal): Promise<number> {
  const wanted = parseExplainArguments(argv);
  if (wanted.help) {
    terminal.stdout.write(helpText(explainCommand));
    return 0;
  }
  const config = await loadConfiguration(resolve(terminal.workingDirectory, wanted.configuration));
  const { job, environment, warnings } = understood(() => readWanted(wanted, terminal));
  const variables = new UserVariables(environment);
  const secrets = secretsOf(job);
  const say = (text: string) => terminal.stdout.write(`${hide(printable(text), secrets)}\n`);
  for (const warning of warnings) say(`WARNING: ${warning}`);

  const project = job.projectPath === "" ? job.projectSlug : job.projectPath;
  say(`Job ${job.id} "${printableLine(job.name)}" of ${printableLine(project)}`);
  say(`Executor ${config.general.executor}, run mechanism ${config.general.run_mechanism ?? "none"}\n`);
  const login = wanted.login ?? variables.get("GITLAB_USER_LOGIN")?.text ?? currentAccount().name;
  const identity = await explainIdentity(config, job, variables, {
    login,
    runAs: wanted.runAs,
    runnerId: wanted.runnerId,
  });
  const who = identity.account;
  say(who ? `It runs as ${who.name} (user id ${who.uid}):` : "It does not run:");
  for (const reason of identity.reasons) say(`  ${reason}`);
  if (!who) return 1;
  try {
    await tell(config, job, who, variables, wanted, say);
    return 0;
  } catch (error) {
    if (!(error instanceof JacamarError)) throw error;
    say(`\nIt does not run: ${error.message}${error.hint === undefined ? "" : `\n  ${error.hint}`}`);
    return 1;
  }
}

async function tell(
  config: Config,
  job: Job,
  account: Account,
  variables: UserVariables,
  wanted: ExplainArguments,
  say: (text: string) => void,
): Promise<void> {
  const workspace = workspaceOf({ config, job, variables, account });
  say("\nDirectories");
  for (const [name, path] of [
    ["work tree", workspace.projectDir],
    ["cache", workspace.projectCacheDir],
    ["scripts", workspace.scriptsDir],
    ["private", workspace.privateDir],
  ]) {
    say(`  ${name?.padEnd(10)} ${path}`);
  }
  for (const line of explainFilter(config, wanted.runnerId)) say(line);
  const state: JobState = { config, workspace, jobKey: jobKeyOf(job), life: newJobLife(job.timeoutSeconds) };
  for (const line of await explainStages({ state, job, account, variables }, wanted.stages)) say(line);
}

/** A pipeline file that cannot be understood is a mistake in the call: nobody has refused a job. */
function understood<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof JacamarError) || error.code !== "pipeline_invalid") throw error;
    const { message, hint } = error;
    throw new JacamarError("usage", message, { cause: error, ...(hint === undefined ? {} : { hint }) });
  }
}

interface WantedJob {
  readonly job: Job;
  /** The variables as the runner's environment has them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

function readWanted(wanted: ExplainArguments, terminal: Terminal): WantedJob {
  const own = { CI_RUNNER_SHORT_TOKEN: wanted.runnerToken, CI_CONCURRENT_ID: String(wanted.slot) };
  if (wanted.response !== undefined) {
    const job = parseJob(readText(resolve(terminal.workingDirectory, wanted.response)));
    const given = job.variables.map(({ key, value }): [string, string] => [key, value]);
    return { job, environment: prefixed({ ...own, ...Object.fromEntries(given) }), warnings: [] };
  }
  const file = resolve(terminal.workingDirectory, wanted.file);
  const described = describeJob({
    file,
    text: readText(file),
    readLocal: (path) => readText(join(dirname(file), path)),
    jobName: wanted.job ?? "",
    login: wanted.login ?? currentAccount().name,
    runnerShortToken: wanted.runnerToken,
    concurrentId: wanted.slot,
    version,
  });
  return {
    job: parseJob(described.response),
    environment: prefixed(Object.fromEntries(described.variables)),
    warnings: described.warnings,
  };
}

function prefixed(variables: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).map(([key, value]) => [`CUSTOM_ENV_${key}`, value]));
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new JacamarError("usage", `Cannot read "${path}": ${systemErrorCode(cause) ?? "unknown error"}`, { cause });
  }
}

/** What must not be shown, as `printable` writes it. The longest first: one may be a part of another. */
function secretsOf({ token, credentials, variables }: Job): string[] {
  const masked = variables.flatMap((variable) => (variable.masked === true ? [variable.value] : []));
  return [token, ...credentials.map(({ password }) => password), ...masked]
    .filter((secret) => secret.length > 3)
    .map(printable)
    .toSorted((a, b) => b.length - a.length);
}

function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, "[HIDDEN]"), text);
}
