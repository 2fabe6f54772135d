import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { certificates, Failure, Line } from "./line.ts";

/** A question to the trusted server. */
export interface ServerRequest {
  /** Below the server's own address. */
  readonly url: string;
  /** Further headers; one that identifies somebody goes to the server alone, and is in no message. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Certificates that are trusted in place of the system's (`tls-ca-file`). */
  readonly tlsCaFile: string | undefined;
  /** The driver's own environment, for the proxy. */
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Longest time for all of it, with redirects. */
  readonly limitMilliseconds: number;
}

const largestAnswerBytes = 256 * 1024;
const mostRedirects = 2;
const redirects = new Set([301, 302, 303, 307, 308]);

/**
 * Asks the trusted server and returns the JSON of its answer, at most 256 KiB. It is authenticated by TLS whatever the
 * environment says (`NODE_TLS_REJECT_UNAUTHORIZED` too); a redirect is followed only within the server and its TLS, twice at most.
 * Throws {@link Failure} for whatever the server, the line or the proxy do.
 */
export async function askServer(request: ServerRequest): Promise<unknown> {
  return parse(await get(request));
}

async function get(request: ServerRequest): Promise<Buffer> {
  const signal = AbortSignal.timeout(request.limitMilliseconds);
  const trusted = new URL(request.url).origin;
  let url = new URL(request.url);
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
  request: ServerRequest,
  signal: AbortSignal,
): Promise<Buffer | { readonly location: string }> {
  const { environment, limitMilliseconds } = request;
  const line = new Line(
    { certificates: () => certificates(request.tlsCaFile), environment, limitMilliseconds },
    signal,
  );
  try {
    const socket = await line.open(url);
    return await new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Failure(why));
      const options = {
        createConnection: () => socket,
        signal,
        headers: {
          ...request.headers,
          accept: "application/json",
          "accept-encoding": "identity",
          "user-agent": "jacamar",
        },
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

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new Failure(`it answered with something that is not JSON (${body.length} bytes)`);
  }
}
