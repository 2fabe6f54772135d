import * as v from "valibot";
import type { KeyServer } from "./key-server.ts";
import { KnownPeople } from "./known-people.ts";

/** GitLab's own word on an account, as the end of a sentence for the system log. `unknown`: there is none that can be used. */
export interface AccountKind {
  readonly kind: "person" | "bot" | "unknown";
  readonly detail: string;
}

/** Whose kind is asked for: claims of a verified token. */
export interface Asked {
  readonly jobId: string;
  readonly userId: string;
  readonly userLogin: string;
}

export interface KindSourceOptions {
  readonly server: KeyServer;
  /** The token of the very job: only with it GitLab tells of the job and its user. */
  readonly jobToken: string;
  /** Where people are remembered; see `keyCacheDirectory()`. */
  readonly cacheDirectory: string;
  /** `tls-ca-file` */
  readonly tlsCaFile: string | undefined;
  /** The driver's own environment, for the proxy. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Longest time that the server gets for its answer. Default: 10 s. */
  readonly limitMilliseconds?: number;
}

/**
 * Asks GitLab whether the user of a job is a person, or a bot or service account: nothing in the ID token tells for sure, and
 * whoever makes a service account chooses its login (CVE-2026-107589 of the original Jacamar CI).
 *
 * A person is remembered by the number of the user, which GitLab never gives again and whose kind it never changes, so
 * each is asked for once on a machine, and a GitLab that does not answer stops nobody who is known. Bots are not remembered.
 */
export async function accountKind(asked: Asked, options: KindSourceOptions): Promise<AccountKind> {
  const people = new KnownPeople(options.cacheDirectory, options.server.issuer);
  const known = people.has(asked.userId);
  if (known === true) return { kind: "person", detail: "GitLab has said before that it is a person's" };
  const notes = known === false ? "" : `; people are not remembered: ${known.why}`;
  const answer = await askGitLab(asked, options);
  if (answer.kind !== "person") return { ...answer, detail: answer.detail + notes };
  const why = people.remember(asked.userId);
  const more = notes === "" && why !== undefined ? `; people are not remembered: ${why}` : notes;
  return { kind: "person", detail: answer.detail + more };
}

async function askGitLab(asked: Asked, { server, jobToken, ...options }: KindSourceOptions): Promise<AccountKind> {
  // What is no header cannot be GitLab's.
  if (!/^[!-~]{1,4096}$/.test(jobToken)) return unknown("the job response has no token to ask with");
  const [{ askServer }, { Failure }] = await Promise.all([import("./server-request.ts"), import("./line.ts")]);
  try {
    const limitMilliseconds = options.limitMilliseconds ?? 10_000;
    const request = { ...options, url: server.jobUrl, headers: { "job-token": jobToken }, limitMilliseconds };
    return kindFromAnswer(await askServer(request), asked);
  } catch (error) {
    if (error instanceof Failure) return unknown(`GitLab was asked at ${server.jobUrl}: ${error.message}`);
    throw error;
  }
}

const number = v.pipe(v.number(), v.safeInteger());
const jobAnswer = v.object({
  id: number,
  user: v.object({ id: number, username: v.string(), bot: v.boolean() }),
});

/**
 * GitLab's own word, from its answer to `GET <gitlab_server>/api/v4/job` with the header `JOB-TOKEN`: `user.bot`, which is
 * true for all bots and service accounts (`lib/api/entities/ci/job_basic.rb`, `lib/api/entities/user.rb`, `BOT_USER_TYPES` in
 * `app/models/concerns/has_user_type.rb`). Anything but an answer on this job and this user is `unknown`.
 */
export function kindFromAnswer(answer: unknown, asked: Asked): AccountKind {
  const parsed = v.safeParse(jobAnswer, answer);
  if (!parsed.success) return unknown("GitLab's answer does not tell");
  const { id, user } = parsed.output;
  if (String(id) !== asked.jobId) return unknown("GitLab's answer is on another job");
  if (String(user.id) !== asked.userId || user.username !== asked.userLogin) {
    return unknown("GitLab's answer is on another user");
  }
  return user.bot
    ? { kind: "bot", detail: "GitLab says that it is a bot or service account" }
    : { kind: "person", detail: "GitLab says that it is a person's" };
}

function unknown(detail: string): AccountKind {
  return { kind: "unknown", detail };
}
