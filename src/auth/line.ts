import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import http from "node:http";
import { connect, isIP, type Socket } from "node:net";
import { connect as secure, getCACertificates } from "node:tls";
import { whyUntrusted } from "../config/trusted-path.ts";
import { systemErrorCode } from "../error/error.ts";
import { routeTo } from "./key-proxy.ts";

/** What a connection needs. */
export interface LineRequest {
  /** The certificates that are trusted. May throw {@link Failure}. */
  readonly certificates: () => readonly string[];
  /** Where these are set, for the message; without it `tls-ca-file`. */
  readonly trustedBy?: string;
  /** Holds the proxy. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Longest time for all of it; the signal keeps it. */
  readonly limitMilliseconds: number;
}

const largestCaFileBytes = 16 * 1024 * 1024;

/** An expected failure, with its sentence. */
export class Failure extends Error {}

/**
 * The connection of one request, through a proxy or not. Node's own proxies are not used: one that falls silent in the
 * middle cannot be ended, and a `HTTPS_PROXY` that Node does not understand would be passed by without a word.
 */
export class Line {
  readonly #request: LineRequest;
  readonly #signal: AbortSignal;
  readonly #sockets: Socket[] = [];
  /** How the server is asked, for messages. */
  via = "";

  constructor(request: LineRequest, signal: AbortSignal) {
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
      return `its certificate is not trusted (${code}); see ${this.#request.trustedBy ?? "tls-ca-file in [general]"}`;
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
      ca: [...this.#request.certificates()],
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

/** The certificates of a file (`tls-ca-file`), or the system's. Throws `Failure` for a file that cannot be believed. */
export function certificates(path: string | undefined): string[] {
  if (path === undefined) return getCACertificates("system");
  const text = readCertificates(path);
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw new Failure(`tls-ca-file "${path}" holds no certificate`);
  return [text];
}

/** Whoever can write this file, or exchange it, can be the server. */
function readCertificates(path: string): string {
  const untrusted = whyUntrusted(path, { forbidden: 0o022, sticky: true, makeDirectory: false });
  if (untrusted !== undefined) throw new Failure(`tls-ca-file: ${untrusted}`);
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new Failure(`tls-ca-file "${path}" cannot be opened: ${systemErrorCode(error) ?? "unknown error"}`);
  }
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) throw new Failure(`tls-ca-file "${path}" is not a regular file`);
    if (status.size > largestCaFileBytes) throw new Failure(`tls-ca-file "${path}" is too large`);
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}
