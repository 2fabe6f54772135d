import { createSign, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";

/** A server that publishes the keys by which it signs ID tokens, as GitLab does at /oauth/discovery/keys. */
export interface TestGitlab {
  /** Its address, for `gitlab_server`. */
  readonly url: string;
  /** How often its keys were asked for. */
  requests(): number;
  /** Signs an ID token. The claims are those of GitLab's documentation, changed as a test wants them. */
  sign(job: TokenSubject, claims?: Readonly<Record<string, unknown>>): string;
  stop(): Promise<void>;
}

/** What a token says of the job that it is for. */
export interface TokenSubject {
  readonly jobId: number;
  readonly login: string;
}

/** Starts it on a free port of the loopback interface. */
export async function startGitlab(): Promise<TestGitlab> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "test-key", use: "sig", alg: "RS256" };
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    const known = request.url === "/oauth/discovery/keys";
    response.writeHead(known ? 200 : 404, { "content-type": "application/json" });
    response.end(known ? JSON.stringify({ keys: [jwk] }) : "{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The test server has no port");
  const url = `http://127.0.0.1:${address.port}`;
  return {
    url,
    requests: () => requests,
    sign: ({ jobId, login }, claims = {}) => {
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
        user_id: "33",
        user_login: login,
        user_email: `${login}@example.com`,
        pipeline_id: "900",
        pipeline_source: "push",
        job_id: String(jobId),
        ref: "main",
        ref_type: "branch",
        ...claims,
      };
      const text = `${encode({ alg: "RS256", kid: "test-key", typ: "JWT" })}.${encode(payload)}`;
      return `${text}.${createSign("RSA-SHA256").update(text).sign(privateKey, "base64url")}`;
    },
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
