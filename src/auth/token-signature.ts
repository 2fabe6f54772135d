import { createPublicKey, type KeyObject } from "node:crypto";
import { jwtVerify } from "jose/jwt/verify";
import * as v from "valibot";
import { systemErrorCode } from "../error/error.ts";
import type { SigningKey } from "./key-set.ts";

/** Why a token is refused, for the system log. */
export type TokenRefusalCode =
  | "token_malformed"
  | "header_refused"
  | "algorithm_refused"
  | "key_unknown"
  | "key_unusable"
  | "signature_invalid"
  | "claim_missing"
  | "claim_invalid"
  | "issuer_wrong"
  | "audience_wrong"
  | "expired"
  | "not_yet_valid"
  | "issued_in_future"
  | "job_incomplete"
  | "other_job";

/** A refusal, with a plain sentence for the administrator. */
export interface Refusal {
  readonly kind: "refused";
  readonly code: TokenRefusalCode;
  /** It holds nothing of a token that was not verified, and never the token. */
  readonly reason: string;
}

/** What a token is verified against. */
export interface SignatureRules {
  /** What `iss` must be, to the letter. */
  readonly issuer: string;
  /** `jwt_required_aud`; undefined: any audience. */
  readonly requiredAudience: string | undefined;
  /** `jwt_exp_delay`, in seconds. */
  readonly slackSeconds: number;
  readonly now: Date;
}

/** Node's own way is faster than jose's. Undefined for a point that is not on its curve, for example. */
export function importKey(key: SigningKey): KeyObject | undefined {
  try {
    return createPublicKey({ key: { ...key }, format: "jwk" });
  } catch {
    return undefined;
  }
}

/**
 * Verifies a token's signature by the one algorithm of the key, and what it says of who issued it, for whom, and when.
 * Trusted is nothing in the token. A refusal is a value; other errors of jose's are thrown.
 */
export async function verifySignature(
  token: string,
  key: KeyObject,
  alg: SigningKey["alg"],
  input: SignatureRules,
): Promise<{ readonly claims: Readonly<Record<string, unknown>> } | Refusal> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [alg],
      issuer: input.issuer,
      ...(input.requiredAudience === undefined ? {} : { audience: input.requiredAudience }),
      requiredClaims: ["iss", "aud", "exp", "nbf", "iat"],
      clockTolerance: input.slackSeconds,
      currentDate: input.now,
    });
    return { claims: payload };
  } catch (error) {
    return explain(error, input);
  }
}

/** Throws what is no verdict on the token. jose's errors hold its claims, so none of them goes on as a cause. */
function explain(error: unknown, input: SignatureRules): Refusal {
  const code = systemErrorCode(error);
  switch (code) {
    case "ERR_JWS_SIGNATURE_VERIFICATION_FAILED":
      return refusal("signature_invalid", "The token's signature is not the server's.");
    case "ERR_JWT_EXPIRED":
      return refusal("expired", "The token has expired. Check the clock of this machine, and how long the job waited.");
    case "ERR_JWT_CLAIM_VALIDATION_FAILED":
      return explainClaim(error, input);
    case "ERR_JWS_INVALID":
    case "ERR_JWT_INVALID":
      return refusal("token_malformed", "The token is not a signed token.");
    case "ERR_JOSE_ALG_NOT_ALLOWED":
    case "ERR_JOSE_NOT_SUPPORTED":
      return refusal("algorithm_refused", "The token is not signed with an algorithm that is allowed.");
    default:
      throw error;
  }
}

/** The signature was good by now, so the server's own words may be shown. */
function explainClaim(error: unknown, input: SignatureRules): Refusal {
  const { claim, reason, payload } = v.parse(claimError, error);
  if (reason === "missing") return refusal("claim_missing", `The token has no claim "${claim}".`);
  if (reason === "invalid") return refusal("claim_invalid", `The token's claim "${claim}" is not what it should be.`);
  switch (claim) {
    case "iss":
      return refusal(
        "issuer_wrong",
        `The token was issued by ${quote(payload.iss)}, and gitlab_server is "${input.issuer}".`,
      );
    case "aud":
      return refusal(
        "audience_wrong",
        `The token is for ${quote(payload.aud)}, and jwt_required_aud is "${input.requiredAudience}".`,
      );
    case "nbf":
      return refusal("not_yet_valid", "The token is not valid yet. Check the clock of this machine.");
    default:
      return refusal("claim_invalid", `The token's claim "${claim}" is not what it should be.`);
  }
}

const claimError = v.object({
  claim: v.string(),
  reason: v.string(),
  payload: v.object({ iss: v.optional(v.unknown()), aud: v.optional(v.unknown()) }),
});

/** Makes a refusal. */
export function refusal(code: TokenRefusalCode, reason: string): Refusal {
  return { kind: "refused", code, reason };
}

/** A value of a token for a message, cut after 300 characters. */
export function quote(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 300);
}
