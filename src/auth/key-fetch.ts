import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { connect, isIP, type Socket } from "node:net";
import { connect as secure, getCACertificates } from "node:tls";
import { systemErrorCode } from "../error/error.ts";
import { routeTo } from "./key-proxy.ts";
import type { KeyServer } from "./key-server.ts";
import { type SigningKey, signingKeys } from "./key-set.ts";

export interface KeyRequest {
  readonly server: KeyServer;
  /** Certificates that are trusted in place of the system's (`tls-ca-file`). */
  readonly tlsCaFile: string | undefined;
  /** The driver's own environment, for the proxy. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Longest time for all of it, with redirects. */
  readonly limitMilliseconds: number;
}

/** The keys, never none; or a sentence's end for the administrator, without secrets. */
export type FetchedKeys =
  | { readonly kind: "fetched"; readonly keys: readonly SigningKey[] }
  | { readonly kind: "failed"; readonly why: string };

const largestAnswerBytes = 256 * 1024;
const largestCaFileBytes = 16 * 1024 * 1024;
const mostRedirects = 2;
const redirects = new Set([301, 302, 303, 307, 308]);

/** An expected failure, with its sentence. */
class Failure extends Error {}

/**
 * Asks a server for its public keys. It is authenticated by TLS whatever the environment says (`NODE_TLS_REJECT_UNAUTHORIZED`
 * too); a redirect is followed only within the server and its TLS, twice at most. Never rejects for what the server, the line or
 * the proxy do.
 */
export async function fetchKeys(request: KeyRequest): Promise<FetchedKeys> {
  try {
    const body = await get(request);
    const keys = signingKeys(parse(body));
    if (keys === undefined) return failed("it answered with JSON that is no list of keys");
    return keys.length > 0 ? { kind: "fetched", keys } : failed("it publishes no public key that can verify tokens");
  } catch (error) {
    if (error instanceof Failure) return failed(error.message);
    throw error;
  }
}

function failed(why: string): FetchedKeys {
  return { kind: "failed", why };
}

async function get(request: KeyRequest): Promise<Buffer> {
  const signal = AbortSignal.timeout(request.limitMilliseconds);
  const trusted = new URL(request.server.keysUrl).origin;
  let url = new URL(request.server.keysUrl);
  for (let followed = 0; ; followed += 1) {
    const answer = await getOnce(url, request, signal);
    if (Buffer.isBuffer(answer)) return answer;
    if (followed >= mostRedirects) throw new Failure("it redirects more than twice");
    const next = URL.parse(answer.location, url);
    if (next === null || next.origin !== trusted || next.protocol !== "https:") {
      throw new Failure(`it redirects elsewhere (${next === null ? "not a URL" : next.origin}), which is not followed`);
    }
    url = next;
  }
}

/** One request: the body of a 200, or where a redirect leads. */
async function getOnce(
  url: URL,
  request: KeyRequest,
  signal: AbortSignal,
): Promise<Buffer | { readonly location: string }> {
  const line = new Line(request, signal);
  try {
    const socket = await line.open(url);
    return await new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Failure(why));
      const options = {
        createConnection: () => socket,
        signal,
        headers: { accept: "application/json", "accept-encoding": "identity", "user-agent": "jacamar" },
      };
      const sent = url.protocol === "https:" ? https.get(url, options) : http.get(url, options);
      sent.once("response", receive);
      sent.on("error", (error) => fail(line.explain(error)));

      function receive(response: IncomingMessage): void {
        response.on("error", (error) => fail(line.explain(error)));
        const { location, "content-encoding": encoding } = response.headers;
        const status = response.statusCode ?? 0;
        if (redirects.has(status) && location !== undefined) return resolve({ location });
        if (status !== 200) return fail(`it answered with HTTP status ${status}`);
        if (encoding !== undefined && encoding !== "identity")
          return fail("it sent an encoding that was not asked for");
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > largestAnswerBytes) fail(`its answer is longer than ${largestAnswerBytes} bytes`);
          else chunks.push(chunk);
        });
        response.once("end", () => resolve(Buffer.concat(chunks)));
      }
    });
  } catch (error) {
    if (error instanceof Failure) throw new Failure(error.message + line.via);
    throw error;
  } finally {
    line.close();
  }
}

/**
 * The connection of one request, through a proxy or not. Node's own proxies are not used: one that falls silent in the
 * middle cannot be ended, and a `HTTPS_PROXY` that Node does not understand would be passed by without a word.
 */
class Line {
  readonly #request: KeyRequest;
  readonly #signal: AbortSignal;
  readonly #sockets: Socket[] = [];
  /** How the server is asked, for messages. */
  via = "";

  constructor(request: KeyRequest, signal: AbortSignal) {
    this.#request = request;
    this.#signal = signal;
  }

  /** A socket to the server, which may still be on its way: what goes wrong is an event of its. */
  async open(url: URL): Promise<Socket> {
    const end = endOf(url);
    if (url.protocol === "http:") return this.#keep(connect(end));
    const route = routeTo(url, this.#request.environment);
    if (route.kind === "unusable") throw new Failure(route.why);
    if (route.kind === "direct") return this.#secure(end);
    this.via = ` (asked through the proxy ${route.shown})`;
    return this.#secure(end, await this.#tunnel(new URL(route.address), end));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** An error's message can hold what the server sent, or a password; its code holds neither. */
  explain(error: Error): string {
    if (this.#signal.aborted) return `it did not answer within ${this.#request.limitMilliseconds / 1000} seconds`;
    const code = systemErrorCode(error) ?? "unknown error";
    if (/CERT|ISSUER|SIGNATURE/.test(code)) {
      return `its certificate is not trusted (${code}); see tls-ca-file in [general]`;
    }
    return `the connection failed (${code})`;
  }

  #keep<Kind extends Socket>(socket: Kind): Kind {
    this.#sockets.push(socket);
    // What is destroyed when all is over may still have something to say.
    socket.on("error", () => {});
    return socket;
  }

  #secure(end: End, through?: Socket): Socket {
    const socket = secure({
      ...(through === undefined ? {} : { socket: through }),
      ...end,
      ...(isIP(end.host) === 0 ? { servername: end.host } : {}),
      ca: certificates(this.#request.tlsCaFile),
      // Said here so that no variable and no option of Node's can say otherwise.
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.3",
      ALPNProtocols: ["http/1.1"],
    });
    return this.#keep(socket);
  }

  /** A line through a proxy (RFC 9110, 9.3.6). */
  #tunnel(proxy: URL, { host, port }: End): Promise<Socket> {
    const toProxy = proxy.protocol === "https:" ? this.#secure(endOf(proxy)) : this.#keep(connect(endOf(proxy)));
    const path = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
    const login = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
    const authorization =
      login === ":" ? {} : { "proxy-authorization": `Basic ${Buffer.from(login).toString("base64")}` };
    return new Promise((resolve, reject) => {
      const sent = http.request({
        createConnection: () => toProxy,
        method: "CONNECT",
        path,
        headers: { host: path, ...authorization },
        signal: this.#signal,
      });
      sent.on("error", (error) => reject(new Failure(this.explain(error))));
      sent.once("connect", ({ statusCode = 0 }, socket: Socket, early: Buffer) => {
        if (statusCode !== 200) reject(new Failure(`the proxy answered with HTTP status ${statusCode}`));
        // Nobody but the proxy itself can have said this: the server has not been spoken to yet.
        else if (early.length > 0) reject(new Failure("the proxy said more than it may"));
        else resolve(socket);
      });
      sent.end();
    });
  }
}

/** Where to connect to. */
interface End {
  readonly host: string;
  readonly port: number;
}

function endOf(url: URL): End {
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port };
}

function certificates(path: string | undefined): string[] {
  if (path === undefined) return getCACertificates("system");
  const text = readCertificates(path);
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw new Failure(`tls-ca-file "${path}" holds no certificate`);
  return [text];
}

/** Whoever can write this file can be the server. */
function readCertificates(path: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new Failure(`tls-ca-file "${path}" cannot be opened: ${systemErrorCode(error) ?? "unknown error"}`);
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw new Failure(`tls-ca-file "${path}" is not a regular file`);
    if ((status.mode & 0o022) !== 0) throw new Failure(`tls-ca-file "${path}" can be written by others`);
    if (status.size > largestCaFileBytes) throw new Failure(`tls-ca-file "${path}" is too large`);
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new Failure(`it answered with something that is not JSON (${body.length} bytes)`);
  }
}
