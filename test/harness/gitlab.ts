import { createHash, createSign, generateKeyPairSync } from "node:crypto";
import { rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { TestAuthority } from "../../src/auth/testing/certificates.ts";

/** What a server does with a request. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * A server that publishes the keys by which it signs ID tokens, as GitLab does at /oauth/discovery/keys, and that tells of a job
 * that it has signed a token for whose it is, as GitLab does at /api/v4/job.
 */
export interface TestGitlab {
  /** Its address, for `gitlab_server`. */
  readonly url: string;
  /** The certificate of the authority that signed its own, as PEM; undefined over http. */
  readonly authority: string | undefined;
  /** How often its keys were asked for. */
  requests(): number;
  /** Signs an ID token. The claims are those of GitLab's documentation, changed as a test wants them. */
  sign(job: TokenSubject, claims?: Readonly<Record<string, unknown>>): string;
  /** How often it was asked whose a job is. */
  questions(): number;
  /** From now on it says of a user, by login, that it is a bot, or it does not answer on it at all. */
  treat(login: string, as: "person" | "bot" | "unknown"): void;
  /** From now on it says that a job for which it has signed nothing is that user's: the tests of another process sign for themselves. */
  assume(login: string): void;
  /** What it signs with now. */
  key(): TokenSigningKey;
  /** From now on it publishes and signs with another key. */
  rotate(): void;
  /** From now on it does this with every request; undefined: what it should. */
  behave(behaviour: Behaviour | undefined): void;
  stop(): Promise<void>;
}

/** What a token says of the job that it is for. */
export interface TokenSubject {
  readonly jobId: number;
  readonly login: string;
}

/** Starts it on a free port of the loopback interface, over http, or over https with an authority of its own. */
export async function startGitlab(protocol: "http" | "https" = "http"): Promise<TestGitlab> {
  let key = newKey(1);
  let rotations = 1;
  let behaviour: Behaviour | undefined;
  let requests = 0;
  let questions = 0;
  const logins = new Map<string, string>();
  let assumed: string | undefined;
  const treated = new Map<string, "person" | "bot" | "unknown">();
  const listen: Behaviour = (request, response) => {
    if (behaviour !== undefined) return behaviour(request, response);
    const answer = request.url === "/api/v4/job" ? aboutJob(request.headers["job-token"]) : keysAt(request.url);
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? {}));
  };
  const authority = protocol === "https" ? new TestAuthority() : undefined;
  const own = authority?.certify("127.0.0.1");
  const server = own
    ? createSecureServer({ cert: own.certificate, key: own.privateKey }, listen)
    : createServer(listen);
  function keysAt(path: string | undefined): unknown {
    requests += 1;
    return path === "/oauth/discovery/keys" ? { keys: [key.jwk] } : undefined;
  }
  function aboutJob(token: unknown): unknown {
    questions += 1;
    const [, id = ""] = /^glcbt-64_token-of-job-(\d+)$/.exec(String(token)) ?? [];
    const login = logins.get(id) ?? assumed;
    if (login === undefined || treated.get(login) === "unknown") return undefined;
    const user = { id: userIdOf(login), username: login, bot: treated.get(login) === "bot" };
    return { id: Number(id), status: "running", user };
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The test server has no port");
  const url = `${protocol}://127.0.0.1:${address.port}`;
  return {
    url,
    authority: authority?.certificate,
    requests: () => requests,
    questions: () => questions,
    treat: (login, as) => void treated.set(login, as),
    rotate: () => {
      rotations += 1;
      key = newKey(rotations);
    },
    behave: (next) => {
      behaviour = next;
    },
    sign: (subject, claims = {}) => {
      logins.set(String(subject.jobId), subject.login);
      return idToken(url, key, subject, claims);
    },
    assume: (login) => {
      assumed = login;
    },
    key: () => ({ kid: key.kid, pem: key.pem }),
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
        const remembered = encodeURIComponent(url);
        for (const name of [`keys-${remembered}.json`, `people-${remembered}`])
          rmSync(`/var/cache/jacamar/${name}`, { recursive: true, force: true });
      }),
  };
}

/** A private key, and the name under which the server publishes its other half. */
export interface TokenSigningKey {
  readonly kid: string;
  readonly pem: string;
}

function newKey(number: number): TokenSigningKey & { jwk: Record<string, unknown> } {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = `test-key-${number}`;
  const jwk = { ...publicKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
  return { jwk, kid, pem: privateKey.export({ type: "pkcs8", format: "pem" }) };
}

/** An ID token of the server at this address. The claims are those of GitLab's documentation, with the given changes. */
export function idToken(
  url: string,
  { kid, pem }: TokenSigningKey,
  { jobId, login }: TokenSubject,
  claims: Readonly<Record<string, unknown>> = {},
): string {
  const now = Math.floor(Date.now() / 1000);
  const payload = {
    iss: url,
    aud: url,
    sub: "project_path:group/demo:ref_type:branch:ref:main",
    iat: now,
    nbf: now - 5,
    exp: now + 3600,
    namespace_id: "5",
    namespace_path: "group",
    project_id: "17",
    project_path: "group/demo",
    user_id: String(userIdOf(login)),
    user_login: login,
    user_email: `${login}@example.com`,
    pipeline_id: "900",
    pipeline_source: "push",
    job_id: String(jobId),
    ref: "main",
    ref_type: "branch",
    ...claims,
  };
  const text = `${encode({ alg: "RS256", kid, typ: "JWT" })}.${encode(payload)}`;
  return `${text}.${createSign("RSA-SHA256").update(text).sign(pem, "base64url")}`;
}

/** The number of a user, always the same for a login. */
function userIdOf(login: string): number {
  return 1 + createHash("sha256").update(login).digest().readUInt32BE(0);
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
