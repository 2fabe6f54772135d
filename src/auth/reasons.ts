import type { Blame } from "../error/codes.ts";

/**
 * Why a job was refused, with whose fault it is (`error/codes.ts`) and what it means. A code is stable: sites search
 * their logs for it.
 */
export const refusals = {
  downscope_unset: { blame: "site", means: "[auth] does not say how to become the user (downscope)." },
  token_of_other_job: { blame: "job", means: "The ID token was made for another job." },
  pipeline_source_refused: { blame: "job", means: "pipeline_source_allowlist does not name the pipeline's source." },
  login_invalid: { blame: "job", means: "The login in the ID token is none that GitLab gives." },
  bot_refused: { blame: "job", means: "A bot or service account of GitLab, and allow_bot_accounts is off." },
  bot_needs_runas: { blame: "job", means: "A bot whose name somebody chose; it needs RunAs or user_allowlist." },
  bot_unknown: {
    blame: "site",
    means: "GitLab did not say whether the account is a person's, or a bot or service account.",
  },
  runas_incomplete: { blame: "site", means: "[auth.runas] has no validation_script, so nothing can be mapped." },
  runas_target_invalid: { blame: "job", means: "The CI variable names an account that cannot exist." },
  runas_refused: { blame: "job", means: "The site's RunAs script refused the job." },
  runas_unsafe: { blame: "site", means: "Others could change the RunAs script, or it is not the one of sha256." },
  runas_failed: { blame: "site", means: "The RunAs script could not be run, hung, or gave no valid answer." },
  account_name_invalid: { blame: "job", means: "The name can be no account of the system." },
  account_unknown: { blame: "job", means: "The system does not know the account." },
  account_other_name: { blame: "job", means: "The system takes the name for another account." },
  account_root: { blame: "job", means: "The account is root." },
  account_system: { blame: "job", means: "The account is one of the system's: below UID_MIN, or nobody." },
  account_of_runner: { blame: "job", means: "The account is the runner's own." },
  account_unreachable: { blame: "job", means: 'downscope is "none", and the account is not the runner\'s own.' },
  account_unusable: { blame: "site", means: "The entry of the account cannot be used." },
  name_service_failed: { blame: "site", means: "The system's name service did not answer, or not wholly." },
  list_refused: { blame: "job", means: "A list of users or groups refuses the account." },
  shell_refused: { blame: "job", means: "shell_allowlist does not name the account's login shell." },
} as const satisfies Record<string, { blame: Blame; means: string }>;

export type RefusalCode = keyof typeof refusals;

/** The rules of the decision, in their order. `runas_lists` is `lists_pre_validation`. */
export type Rule =
  | "downscope"
  | "job"
  | "pipeline_source"
  | "login"
  | "bot"
  | "runas_lists"
  | "runas"
  | "name"
  | "account"
  | "number"
  | "runner"
  | "lists"
  | "shell";

/** One step of the decision, for people to read. `note` decides nothing. No detail holds a secret. */
export interface Reason {
  readonly rule: Rule;
  readonly verdict: "pass" | "refuse" | "note";
  readonly detail: string;
}

const mostQuoted = 64;

/** A text from outside in quotes: printable ASCII as it is, everything else escaped, cut after 64 characters. */
export function quoted(text: string): string {
  const shown = text.length > mostQuoted ? `${text.slice(0, mostQuoted)}…` : text;
  let result = "";
  for (const character of shown) {
    const point = character.codePointAt(0) ?? 0;
    if (character === '"' || character === "\\") result += `\\${character}`;
    else if (character === "…" || (point >= 0x20 && point < 0x7f)) result += character;
    else result += `\\u{${point.toString(16)}}`;
  }
  return `"${result}"`;
}

/**
 * A text from outside for the job log: line feeds stay, everything that is not printable goes (control characters, so no
 * colours and no section marks of GitLab's; directions of writing; characters without width), cut after `mostBytes`.
 */
export function printable(text: string, mostBytes: number): string {
  let result = "";
  let bytes = 0;
  for (const character of text.toWellFormed()) {
    if (character !== "\n" && /[\p{C}\p{Zl}\p{Zp}]/u.test(character)) continue;
    bytes += Buffer.byteLength(character);
    if (bytes > mostBytes) break;
    result += character;
  }
  return result;
}
