// oxlint-disable no-control-regex -- Refusing control characters is what the expression is for.
import * as v from "valibot";
import type { Job } from "../gitlab/job.ts";
import type { KeyServer } from "./key-server.ts";
import type { KeySource } from "./keys.ts";
import { checkForm } from "./token-form.ts";
import { importKey, quote, type Refusal, refusal, type TokenRefusalCode, verifySignature } from "./token-signature.ts";

export type { TokenRefusalCode } from "./token-signature.ts";

export interface TokenInput {
  /** What the job's variable holds; anybody who can write to the project can put anything there. */
  readonly token: string | undefined;
  readonly job: Job;
  readonly server: KeyServer;
  readonly keys: KeySource;
  /** `jwt_required_aud`; undefined: any audience. */
  readonly requiredAudience: string | undefined;
  /** `jwt_exp_delay`, in seconds. */
  readonly slackSeconds: number;
  readonly now: Date;
}

export interface TokenRefusal extends Refusal {
  readonly notes: readonly string[];
}

/** The notes are sentences for the system log: what was not as it should be with the server's keys. */
export type TokenVerdict =
  | { readonly kind: "verified"; readonly claims: Claims; readonly notes: readonly string[] }
  | { readonly kind: "missing" }
  | TokenRefusal;

/** An account of another service that a GitLab user is known by. */
export interface UserIdentity {
  readonly provider: string;
  readonly externUid: string;
}

const line = v.pipe(v.string(), v.maxLength(4096), v.regex(/^[^\x00-\x1f\x7f-\x9f]*$/));
const name = v.pipe(line, v.nonEmpty());
const number = v.pipe(v.string(), v.regex(/^[1-9][0-9]{0,18}$/));
const time = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const claimsSchema = v.object({
  iss: v.string(),
  aud: v.union([v.string(), v.array(v.string())]),
  exp: time,
  nbf: time,
  iat: time,
  user_login: v.pipe(name, v.maxLength(255)),
  user_id: number,
  user_email: v.nullish(line),
  user_identities: v.nullish(v.array(v.object({ provider: line, extern_uid: line })), []),
  project_id: number,
  project_path: name,
  // In a merge request from a fork `project_*` is the fork; these are the project whose job it is.
  job_project_id: v.nullish(number),
  job_project_path: v.nullish(name),
  namespace_id: number,
  namespace_path: name,
  pipeline_id: number,
  pipeline_source: name,
  job_id: number,
  ref: line,
});

/** The class stays in this file, and its private field makes every look-alike another type: so no other code makes one. */
class VerifiedClaims {
  readonly #texts: ReadonlyMap<string, string>;
  readonly userLogin: string;
  readonly userId: string;
  /** Undefined where GitLab gives none. */
  readonly userEmail: string | undefined;
  readonly userIdentities: readonly UserIdentity[];
  readonly projectId: string;
  readonly projectPath: string;
  readonly namespaceId: string;
  readonly namespacePath: string;
  readonly pipelineId: string;
  readonly pipelineSource: string;
  readonly jobId: string;
  readonly ref: string;

  constructor(claims: v.InferOutput<typeof claimsSchema>, texts: ReadonlyMap<string, string>) {
    this.userLogin = claims.user_login;
    this.userId = claims.user_id;
    this.userEmail = claims.user_email ?? undefined;
    this.userIdentities = claims.user_identities.map(({ provider, extern_uid: externUid }) => ({
      provider,
      externUid,
    }));
    this.projectId = claims.project_id;
    this.projectPath = claims.project_path;
    this.namespaceId = claims.namespace_id;
    this.namespacePath = claims.namespace_path;
    this.pipelineId = claims.pipeline_id;
    this.pipelineSource = claims.pipeline_source;
    this.jobId = claims.job_id;
    this.ref = claims.ref;
    this.#texts = texts;
    Object.freeze(this);
  }

  /**
   * Every claim that is a text, a number or a boolean, by its name (`user_login`), as text, for `JWT_*`. Names are small
   * letters, digits and `_`. A text may hold line breaks, but no NUL.
   */
  get texts(): ReadonlyMap<string, string> {
    return this.#texts;
  }
}

/** What GitLab says of a job in a token that was verified and that is this job's. Only {@link verifyToken} makes it. */
export type Claims = VerifiedClaims;

/**
 * Verifies the ID token of a job: the form, the signature by a key that the server publishes with the one algorithm of
 * that key, whose token it is, for whom, when, and that it is this very job's (`job_id` and `project_id` as in the job
 * response; `pipeline_id` and `project_path`, too, where the runner hands them over). Trusted are the job, the server's address and its keys; nothing in the token
 * chooses where a key comes from.
 *
 * A refusal is a value. Throws `keys_unavailable` (blame: site) when the keys cannot be had. No message holds the token.
 */
export async function verifyToken(input: TokenInput): Promise<TokenVerdict> {
  if (input.token === undefined || input.token === "") return { kind: "missing" };
  const form = checkForm(input.token);
  if (form.kind !== "well-formed") return refuse(form.kind, form.reason);
  const answer = await input.keys.find(form.kid);
  const { notes } = answer;
  if (answer.kind === "unknown") {
    return refuse("key_unknown", "The token is signed with a key that the server does not publish.", notes);
  }
  const { key } = answer;
  if (form.alg !== key.alg) {
    return refuse("algorithm_refused", `The token is not signed with ${key.alg}, which its key is for.`, notes);
  }
  const publicKey = importKey(key);
  if (publicKey === undefined) {
    return refuse("key_unusable", "The token names a key of the server's that is not a proper one.", notes);
  }
  const payload = await verifySignature(input.token, publicKey, key.alg, { ...input, issuer: input.server.issuer });
  if ("kind" in payload) return { ...payload, notes };
  const verdict = judge(payload.claims, input);
  return { ...verdict, notes };
}

/** Judges the claims of a token whose signature, issuer, audience and time are good. */
function judge(
  payload: Readonly<Record<string, unknown>>,
  { job, slackSeconds, now }: TokenInput,
): { readonly kind: "verified"; readonly claims: Claims } | Refusal {
  const parsed = v.safeParse(claimsSchema, payload, { abortEarly: true });
  if (!parsed.success) {
    const claim = v.getDotPath(parsed.issues[0])?.split(".")[0] ?? "";
    if (payload[claim] === undefined) return refusal("claim_missing", `The token has no claim "${claim}".`);
    return refusal("claim_invalid", `The token's claim "${claim}" is not what it should be.`);
  }
  const claims = parsed.output;
  if (claims.iat > Math.floor(now.getTime() / 1000) + slackSeconds) {
    return refusal("issued_in_future", "The token was issued in the future. Check the clock of this machine.");
  }
  // A GitLab gives the number of a job once, so the first alone tells whose token it is. GitLab Runner writes only what its version
  // knows into the job response: the project's path since 18.5, the pipeline since 19.0 (`JobInfo` in common/spec/spec.go).
  const pairs: readonly [what: string, ofToken: string, ofJob: string, known: "always" | "newer runners"][] = [
    ["job_id", claims.job_id, job.id, "always"],
    ["project_id", claims.job_project_id ?? claims.project_id, String(job.projectId), "always"],
    ["pipeline_id", claims.pipeline_id, String(job.pipelineId), "newer runners"],
    ["project_path", claims.job_project_path ?? claims.project_path, job.projectPath, "newer runners"],
  ];
  for (const [what, ofToken, ofJob, known] of pairs) {
    if (ofJob === "" || ofJob === "0") {
      if (known === "newer runners") continue;
      return refusal(
        "job_incomplete",
        `The job response says nothing that the token's "${what}" could be compared with; the runner or GitLab is too old.`,
      );
    }
    if (ofToken !== ofJob) {
      return refusal("other_job", `The token's "${what}" is ${quote(ofToken)}, and this job's is ${quote(ofJob)}.`);
    }
  }
  const texts = textsOf(payload);
  if ("kind" in texts) return texts;
  return { kind: "verified", claims: new VerifiedClaims(claims, texts) };
}

function textsOf(payload: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> | Refusal {
  const texts = new Map<string, string>();
  for (const [claim, value] of Object.entries(payload)) {
    if (!/^[a-z][a-z0-9_]{0,63}$/.test(claim)) continue;
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") continue;
    const text = String(value);
    // No environment can hold it, and a claim that is left out could be taken for one that was never there.
    if (text.includes("\0")) return refusal("claim_invalid", `The token's claim "${claim}" holds a NUL character.`);
    texts.set(claim, text);
  }
  return texts;
}

function refuse(code: TokenRefusalCode, reason: string, notes: readonly string[] = []): TokenRefusal {
  return { ...refusal(code, reason), notes };
}
