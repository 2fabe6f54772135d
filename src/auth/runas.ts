import * as v from "valibot";
import { systemErrorCode } from "../error/error.ts";
import type { Captured } from "../process/capture.ts";
import type { AuthConfig } from "./lists.ts";
import type { AccountName } from "./name.ts";
import { printable, quoted, type RefusalCode } from "./reasons.ts";
import { runCopy, scratchPlaces } from "./runas-copy.ts";
import { readScript } from "./runas-script.ts";

export type RunAsConfig = NonNullable<AuthConfig["runas"]>;

/** What a RunAs script is asked. */
export interface RunAsQuestion {
  /** The login of the ID token. */
  readonly currentUser: string;
  /** The account that the user asks for with the CI variable of `user_variable`. */
  readonly targetUser: AccountName | undefined;
  /** The token's claims as text, by name. */
  readonly texts: ReadonlyMap<string, string>;
  readonly userIdentities: readonly { readonly provider: string; readonly externUid: string }[];
}

/**
 * What it answers. The user name is not checked here: it is a name like any other. `userMessage` is for the job log,
 * printable; `scriptLog`, what the script wrote to standard error, is for the system log alone.
 */
export type RunAsAnswer =
  | {
      readonly mapped: true;
      readonly username: string;
      readonly dataDir: string | undefined;
      readonly userMessage: string | undefined;
      readonly scriptLog: string;
      readonly detail: string;
    }
  | {
      readonly mapped: false;
      readonly code: Extract<RefusalCode, `runas_${string}`>;
      readonly userMessage: string | undefined;
      readonly scriptLog: string;
      readonly detail: string;
    };

/** Asks the site's script. Never rejects for anything that the script or its file can do. */
export type RunAs = (question: RunAsQuestion) => Promise<RunAsAnswer>;

export interface RunAsOptions {
  /** The driver's account: it and root may own the script. */
  readonly euid: number;
  /** Ends the script when the driver is stopped. */
  readonly stop?: AbortSignal;
  readonly timeoutSeconds?: number;
}

/** The longest that a script may run. There is no key for it. */
export const runAsSeconds = 30;

const outputLimit = 64 * 1024;
const claimLimit = 4096;
const messageLimit = 1024;
const path = "/usr/local/bin:/usr/bin:/bin";
const answerSchema = v.strictObject({
  username: v.string(),
  data_dir: v.optional(v.string()),
  user_message: v.optional(v.string()),
});
const refusalSchema = v.object({ user_message: v.string() });

/**
 * The RunAs script of the site (`[auth.runas]`), ready to be asked. For each question the file is read once, checked
 * ({@link readScript}), and those very bytes are run from a copy in a new directory that only the driver's account can
 * enter. So nothing that happens to the file after the check matters.
 *
 * The script runs as the driver, in `/`, with no input and with an environment made from nothing: `PATH`, `validation_env`, `JWT_*`,
 * `RUNAS_CURRENT_USER`, `RUNAS_TARGET_USER` (empty when the user asks for nothing) and `RUNAS_VALIDATION_SCRIPT`, the path of
 * the configuration, since `$0` is the copy. Everything that it leaves running is killed.
 */
export function runAsScript(config: RunAsConfig & { validation_script: string }, options: RunAsOptions): RunAs {
  return async (question) => {
    const environment = scriptEnvironment(config, question);
    if (typeof environment === "string") return refusal("runas_refused", environment);
    const script = readScript(config.validation_script, options.euid, config.sha256);
    if (!script.safe) return refusal("runas_unsafe", `the RunAs script is not run: ${script.why}`);
    const seconds = options.timeoutSeconds ?? runAsSeconds;
    const started = performance.now();
    let ended: Captured;
    try {
      ended = await runCopy(script.bytes, environment, options.euid, seconds, options.stop);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      const hint = code === "EACCES" ? ` (are ${scratchPlaces.join(", ")} mounted noexec?)` : "";
      return refusal("runas_failed", `the RunAs script cannot be started: ${code}${hint}`);
    }
    return readAnswer(ended, performance.now() - started >= seconds * 1000 ? seconds : undefined);
  };
}

/** The environment of the script, or why there is none. */
function scriptEnvironment(config: RunAsConfig, question: RunAsQuestion): Record<string, string> | string {
  const environment: Record<string, string> = { PATH: path };
  for (const assignment of config.validation_env) {
    const equals = assignment.indexOf("=");
    environment[assignment.slice(0, equals)] = assignment.slice(equals + 1);
  }
  // The site's variables must not pass for claims.
  for (const name of Object.keys(environment)) if (/^(?:JWT|RUNAS)_/.test(name)) delete environment[name];
  const claims = new Map(question.texts);
  if (question.userIdentities.length > 0) {
    const identities = question.userIdentities.map(({ provider, externUid }) => ({ provider, extern_uid: externUid }));
    claims.set("user_identities", JSON.stringify(identities));
  }
  for (const [name, text] of claims) {
    // Only small letters: no two claims can make the same variable.
    if (!/^[a-z][a-z0-9_]{0,63}$/.test(name)) continue;
    if (text.includes("\0")) return `the claim ${name} holds a NUL`;
    // Users choose some claims (`aud`, `ref`). Cut or left out, one that the script refuses would get past it.
    if (Buffer.byteLength(text) > claimLimit) return `the claim ${name} is longer than ${claimLimit} bytes`;
    environment[`JWT_${name.toUpperCase()}`] = text;
  }
  environment["RUNAS_CURRENT_USER"] = question.currentUser;
  environment["RUNAS_TARGET_USER"] = question.targetUser ?? "";
  environment["RUNAS_VALIDATION_SCRIPT"] = config.validation_script ?? "";
  return environment;
}

/** @param killedAfter the seconds after which the script was killed; undefined when it was not. */
function readAnswer(ended: Captured, killedAfter: number | undefined): RunAsAnswer {
  const scriptLog = printable(ended.stderr.slice(0, outputLimit), outputLimit);
  if ("signal" in ended.ending) {
    const why =
      killedAfter === undefined ? `by ${ended.ending.signal}` : `after ${killedAfter} s, the time that it has`;
    return refusal("runas_failed", `the RunAs script was ended ${why}`, scriptLog);
  }
  const { exitCode } = ended.ending;
  const answer = readJson(ended.stdout);
  if (exitCode !== 0) {
    const parsed = answer.valid ? v.safeParse(refusalSchema, answer.value) : undefined;
    const userMessage = parsed?.success ? message(parsed.output.user_message) : undefined;
    return refusal("runas_refused", `the RunAs script ended with ${exitCode}`, scriptLog, userMessage);
  }
  if (!answer.valid) return refusal("runas_failed", `the answer of the RunAs script ${answer.why}`, scriptLog);
  const parsed = v.safeParse(answerSchema, answer.value);
  if (!parsed.success) {
    const where = parsed.issues.map((issue) => quoted(v.getDotPath(issue) ?? "(top level)")).slice(0, 5);
    return refusal(
      "runas_failed",
      `the answer of the RunAs script is not as it should be at ${where.join(", ")}`,
      scriptLog,
    );
  }
  const { username, data_dir: dataDir, user_message: text } = parsed.output;
  if (dataDir !== undefined && !isDataDir(dataDir)) {
    return refusal(
      "runas_failed",
      `the RunAs script answers with a data_dir that cannot be used: ${quoted(dataDir)}`,
      scriptLog,
    );
  }
  return {
    mapped: true,
    username,
    dataDir,
    userMessage: text === undefined ? undefined : message(text),
    scriptLog,
    detail: `the RunAs script answers ${quoted(username)}${dataDir === undefined ? "" : ` with data_dir ${quoted(dataDir)}`}`,
  };
}

function readJson(stdout: string): { valid: true; value: unknown } | { valid: false; why: string } {
  if (Buffer.byteLength(stdout) > outputLimit) return { valid: false, why: `is longer than ${outputLimit} bytes` };
  if (stdout.includes("\u{fffd}")) return { valid: false, why: "is not valid UTF-8" };
  try {
    return { valid: true, value: JSON.parse(stdout) };
  } catch {
    return { valid: false, why: stdout.trim() === "" ? "is empty" : "is not JSON" };
  }
}

/** Absolute, in normal form, and free of what breaks a path, a volume of Podman's or a line of a log. */
function isDataDir(text: string): boolean {
  return (
    Buffer.byteLength(text) <= claimLimit &&
    /^(?:\/[^/:\p{C}]+)+$/u.test(text) &&
    !text.split("/").some((part) => part === "." || part === "..")
  );
}

function message(text: string): string | undefined {
  const shown = printable(text, messageLimit).trim();
  return shown === "" ? undefined : shown;
}

function refusal(
  code: Extract<RefusalCode, `runas_${string}`>,
  detail: string,
  scriptLog = "",
  userMessage?: string,
): RunAsAnswer {
  return { mapped: false, code, userMessage, scriptLog, detail };
}
