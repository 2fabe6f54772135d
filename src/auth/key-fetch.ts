import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { getCACertificates } from "node:tls";
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
  const { agent, via } = agentFor(url, request);
  try {
    return await new Promise((resolve, reject) => {
      const fail = (why: string) => {
        sent.destroy();
        reject(new Failure(why + via));
      };
      const options = {
        agent,
        signal,
        timeout: request.limitMilliseconds,
        headers: { accept: "application/json", "accept-encoding": "identity", "user-agent": "jacamar" },
      };
      const sent = url.protocol === "https:" ? https.get(url, options, receive) : http.get(url, options, receive);
      // An error's message can hold the proxy's password, and what the server sent; its code holds neither.
      sent.once("error", (error) => fail(explain(error, signal, request)));

      function receive(response: IncomingMessage): void {
        const { location, "content-encoding": encoding } = response.headers;
        const status = response.statusCode ?? 0;
        if (redirects.has(status) && location !== undefined) {
          response.destroy();
          resolve({ location });
          return;
        }
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
        response.once("error", (error) => fail(explain(error, signal, request)));
        response.once("end", () => resolve(Buffer.concat(chunks)));
      }
    });
  } finally {
    agent.destroy();
  }
}

function agentFor(url: URL, request: KeyRequest): { agent: http.Agent; via: string } {
  if (url.protocol === "http:") return { agent: new http.Agent({ proxyEnv: {} }), via: "" };
  const route = routeTo(url, request.environment);
  if (route.kind === "unusable") throw new Failure(route.why);
  const agent = new https.Agent({
    ca: certificates(request.tlsCaFile),
    // Said here so that no variable and no option of Node's can say otherwise.
    rejectUnauthorized: true,
    minVersion: "TLSv1.2",
    maxCachedSessions: 0,
    proxyEnv: route.kind === "proxy" ? { https_proxy: route.address } : {},
  });
  return { agent, via: route.kind === "proxy" ? ` (asked through the proxy ${route.shown})` : "" };
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

function explain(error: Error, signal: AbortSignal, request: KeyRequest): string {
  if (signal.aborted) return `it did not answer within ${request.limitMilliseconds / 1000} seconds`;
  const code = systemErrorCode(error) ?? "unknown error";
  if (/CERT|^ERR_TLS|ISSUER|SIGNATURE/.test(code)) {
    return `its certificate is not trusted (${code}); see tls-ca-file in [general]`;
  }
  return `the connection failed (${code})`;
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new Failure(`it answered with something that is not JSON (${body.length} bytes)`);
  }
}
