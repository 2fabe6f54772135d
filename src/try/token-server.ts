import { createSign, generateKeyPair, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { promisify } from "node:util";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/** Plays the parts of GitLab that a driver asks: it signs ID tokens, publishes the key by which anybody can check them, and says whose a job is. */
export interface TokenServer {
  /** Its address, such as `http://127.0.0.1:8765`: the `iss` of its tokens, and `gitlab_server` of the driver. */
  readonly address: string;
  /** The token with these claims, signed with RS256. */
  sign(claims: Readonly<Record<string, unknown>>): string;
  /** From now on it tells who asks with the token of the job that the job is that person's. */
  introduce(jobToken: string, job: JobOfPerson): void;
  close(): Promise<void>;
}

/** A job, and the person who started it. */
export interface JobOfPerson {
  readonly jobId: number;
  readonly user: { readonly id: number; readonly login: string };
}

/**
 * Starts it on a port of the loopback interface, 0 for any free one, with a key pair of its own that nothing but this
 * process ever has. Throws `usage` when the port cannot be had.
 */
export async function startTokenServer(port: number): Promise<TokenServer> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  // A name of its own for each key: a driver that has kept another run's key must see that this is not it.
  const kid = randomUUID();
  const keys = JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" }] });
  const jobs = new Map<string, JobOfPerson>();
  const server = createServer((request, response) => {
    const job = jobs.get(String(request.headers["job-token"]));
    const answer =
      request.url === "/oauth/discovery/keys" ? keys : request.url === "/api/v4/job" && job ? aboutJob(job) : undefined;
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(answer ?? "{}");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(unavailable(port, error)));
    server.listen(port, "127.0.0.1", resolve);
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the token server has no port");
  return {
    address: `http://127.0.0.1:${bound.port}`,
    sign: (claims) => {
      const text = `${encode({ alg: "RS256", kid, typ: "JWT" })}.${encode(claims)}`;
      return `${text}.${createSign("RSA-SHA256").update(text).sign(privateKey, "base64url")}`;
    },
    introduce: (jobToken, job) => void jobs.set(jobToken, job),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What `GET /api/v4/job` answers (docs.gitlab.com/api/jobs, "Retrieve a job by job token"), as far as drivers look. */
function aboutJob({ jobId, user }: JobOfPerson): string {
  return JSON.stringify({ id: jobId, status: "running", user: { id: user.id, username: user.login, bot: false } });
}

function unavailable(port: number, error: Error): JacamarError {
  const code = systemErrorCode(error);
  const why = code === "EADDRINUSE" ? "another program has it" : (code ?? error.message);
  return new JacamarError("usage", `--token-server: the port ${port} cannot be used: ${why}`, { cause: error });
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
