import { longestKeyId } from "./key-set.ts";

/** A token whose form is right and whose header asks for nothing unusual. Nothing of it is verified. */
export interface WellFormed {
  readonly kind: "well-formed";
  /** Any text of up to 256 characters. */
  readonly kid: string;
  /** Any text; not yet known to be allowed. */
  readonly alg: string;
}

export type FormProblem =
  | { readonly kind: "token_malformed"; readonly reason: string }
  | { readonly kind: "header_refused"; readonly reason: string };

/** Linux passes no longer variable to a program, so no real token is longer. */
const longestToken = 128 * 1024;
/** GitLab's headers have some 100 bytes. */
const longestHeader = 4096;
/**
 * Members by which a token would bring, or fetch, the key that it is verified with, or change how it is read
 * (RFC 7515, 4.1; RFC 7797). GitLab uses none of them.
 */
const refusedMembers = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"];

/**
 * Looks at the form of a token (RFC 7515, 7.1): three parts in the one way that base64url can write them, a header and
 * claims that are JSON objects without a name twice. What comes out of it may only be used to look for a key.
 */
export function checkForm(token: string): WellFormed | FormProblem {
  if (token.length > longestToken) return malformed(`is longer than ${longestToken} characters`);
  const [encodedHeader, encodedClaims, signature, ...more] = token.split(".");
  if (encodedHeader === undefined || encodedClaims === undefined || signature === undefined || more.length > 0) {
    return malformed("does not have the three parts of a signed token");
  }
  if (encodedHeader.length > longestHeader) return malformed(`has a header longer than ${longestHeader} characters`);
  const parts = [encodedHeader, encodedClaims, signature].map(decode);
  if (parts.includes(undefined)) return malformed("is not in proper base64url");
  const header = parseObject(parts[0]);
  if (header === undefined) return malformed("has a header that is not a JSON object with each name once");
  if (parseObject(parts[1]) === undefined) {
    return malformed("has claims that are not a JSON object with each name once");
  }
  const refused = refusedMembers.find((name) => Object.hasOwn(header, name));
  if (refused !== undefined) return { kind: "header_refused", reason: `The token has "${refused}" in its header.` };
  if (header.typ !== undefined && header.typ !== "JWT") {
    return { kind: "header_refused", reason: 'The token\'s type ("typ") is not "JWT".' };
  }
  const { kid, alg } = header;
  if (typeof kid !== "string" || kid === "" || kid.length > longestKeyId) {
    return { kind: "header_refused", reason: 'The token does not name its key ("kid") in its header.' };
  }
  if (typeof alg !== "string") return { kind: "header_refused", reason: 'The token names no algorithm ("alg").' };
  return { kind: "well-formed", kid, alg };
}

function malformed(what: string): FormProblem {
  return { kind: "token_malformed", reason: `The token ${what}.` };
}

function decode(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, "base64url");
  return bytes.length > 0 && bytes.toString("base64url") === part ? bytes : undefined;
}

function parseObject(bytes: Buffer | undefined): Readonly<Record<string, unknown>> | undefined {
  if (bytes === undefined) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    let members = 0;
    const value: unknown = JSON.parse(text, (_name, member: unknown) => {
      if (isObject(member)) members += Object.keys(member).length;
      return member;
    });
    // Outside strings, a colon stands once for each member. Of two with one name, JSON.parse keeps one.
    const written = text.replace(/"(?:[^"\\]|\\.)*"/gs, "").split(":").length - 1;
    return isObject(value) && members === written ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
