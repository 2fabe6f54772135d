import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import { TestAuthority } from "./certificates.ts";
import type { Members } from "./token-keys.ts";

/** What the server does with a request. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse) => void;

/** A stand-in for the web server of a GitLab, on 127.0.0.1. It serves `/oauth/discovery/keys`. */
export interface GitLabKeys {
  /** What `gitlab_server` has to be. */
  readonly address: string;
  /** The certificate of the authority that signed the server's, as PEM. */
  readonly authority: string;
  /** Paths that were asked for so far. */
  readonly requests: readonly string[];
  /** From now on it publishes these keys. */
  publish(...jwks: readonly Members[]): void;
  /** From now on it does this instead. */
  behave(behaviour: Behaviour): void;
  /** Ends it, with all of its connections; nothing listens on its port any more. */
  stop(): Promise<void>;
}

export interface GitLabKeysOptions {
  /** https without it. */
  readonly protocol?: "http" | "https";
  /** The name in the certificate: 127.0.0.1 without it. */
  readonly host?: string;
  /** Until the certificate expires: 1 without it. */
  readonly days?: number;
}

/** Starts the server. Stop it in `after()`. */
export async function startGitLabKeys(options: GitLabKeysOptions = {}): Promise<GitLabKeys> {
  const { protocol = "https", host = "127.0.0.1", days = 1 } = options;
  const authority = new TestAuthority();
  const { certificate: cert, privateKey: key } = authority.certify(host, days);
  const requests: string[] = [];
  let behaviour: Behaviour = json(200, { keys: [] });
  const listen = (request: IncomingMessage, response: ServerResponse) => {
    requests.push(request.url ?? "");
    behaviour(request, response);
  };
  const server = protocol === "https" ? createServer({ cert, key }, listen) : createPlainServer(listen);
  const port = await portOf(server);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  return {
    address: `${protocol}://127.0.0.1:${port}`,
    authority: authority.certificate,
    requests,
    publish: (...jwks) => {
      behaviour = (request, response) =>
        json(request.url === "/oauth/discovery/keys" ? 200 : 404, { keys: jwks })(request, response);
    },
    behave: (next) => {
      behaviour = next;
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** Listens on a free port of 127.0.0.1. */
export function portOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address: AddressInfo | string | null = server.address();
      if (address === null || typeof address === "string") reject(new Error("no port"));
      else resolve(address.port);
    });
  });
}

/** Answers with JSON, or with a text as it is. */
export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}
