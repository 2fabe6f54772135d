import { quoted } from "./reasons.ts";

/** What is known of the GitLab account that started a pipeline. */
export interface Person {
  readonly login: string;
  readonly email: string | undefined;
  /** Further claims of the token, by name. */
  readonly texts: ReadonlyMap<string, string>;
}

/**
 * A bot, and why. `named`: GitLab itself made the name, so that no member of a project could choose another person's.
 */
export interface BotSign {
  readonly named: boolean;
  readonly detail: string;
}

/**
 * Names that GitLab makes for accounts that are no person's:
 *
 * - `project_<n>_bot…`, `group_<n>_bot…`: access tokens (`app/services/resource_access_tokens/create_service.rb`);
 * - `service_account_…` (docs.gitlab.com, Service accounts API);
 * - `ghost`, `alert-bot`, `support-bot`, `GitLab-Security-Bot`, `GitLabDuo`, …, with a number when the name was taken
 *   (`lib/users/internal.rb`); security policy bots; placeholders of imports.
 */
const madeNames = [
  /^(?:project|group)_[0-9]+_bot/i,
  /^service_account_/i,
  /^(?:ghost|gitlabduo|gitlab-duo)[0-9]*$/i,
  /^gitlab[-_]security[-_]policy[-_]/i,
  /^(?:alert|admin|automation|llm|migration|security|support|suggested-reviewers|visual-review)-bot[0-9]*$/i,
  /^gitlab-(?:admin|llm|security|suggested-reviewers|security-policy)-bot[0-9]*$/i,
  /(?:^|_)(?:placeholder|import)_user(?:_|$)/i,
];

/** What people call their robots. GitLab refuses such a name to nobody, so it is a sign, and no proof of who made it. */
const chosenName = /[-_.]bot[0-9]*$/i;

/**
 * Recognises a bot or service account by its login and its token; undefined for what may be a person.
 *
 * GitLab's ID token has no claim for it (`lib/json_web_token/user_project_token_claims.rb`, `lib/gitlab/ci/jwt_v2.rb`): id,
 * login, e-mail address and access level is all that it says of a user. The address gives away most accounts whose name was
 * chosen: GitLab makes `<login>@noreply.<host>` for bots and service accounts, and no person has such a main address.
 * `user_type` (GitLab's name for it in `app/models/concerns/has_user_type.rb`) and `user_bot` are believed should a GitLab
 * ever send them.
 *
 * A service account with a chosen name and an address that its maker confirmed shows none of these signs (GitLab 17.9 and
 * newer). Only GitLab knows: see account-kind.ts.
 */
export function botSign({ login, email, texts }: Person): BotSign | undefined {
  if (madeNames.some((pattern) => pattern.test(login))) {
    return { named: true, detail: `${quoted(login)} is a name that GitLab makes for bots and service accounts` };
  }
  const type = texts.get("user_type");
  if (type !== undefined && type.toLowerCase() !== "human") {
    return { named: false, detail: `the claim user_type is ${quoted(type)}` };
  }
  if (texts.get("user_bot") === "true") return { named: false, detail: "the claim user_bot is true" };
  if (email !== undefined && isBotAddress(email)) {
    return { named: false, detail: "the e-mail address is one that GitLab makes for bots and service accounts" };
  }
  if (chosenName.test(login)) return { named: false, detail: `${quoted(login)} is the name of a bot` };
  return undefined;
}

function isBotAddress(email: string): boolean {
  const at = email.lastIndexOf("@");
  const user = email.slice(0, Math.max(at, 0));
  const host = email.slice(at + 1);
  return /^noreply\./i.test(host) || madeNames.some((pattern) => pattern.test(user));
}
