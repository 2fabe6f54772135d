import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { Failure, Line, type LineRequest } from "../auth/line.ts";

/** What a server said, or the end of a sentence about it. */
export type ServerAnswer =
  | {
      readonly kind: "answered";
      readonly status: number;
      /** What its clock said, and ours in the middle of the question; in milliseconds since 1970. */
      readonly clock: { readonly theirs: number; readonly ours: number } | undefined;
    }
  | { readonly kind: "failed"; readonly why: string; readonly untrusted: boolean };

/** Asks a server for a page and reads the beginning of the answer alone. Never rejects for what a server or a line does. */
export async function askServer(url: URL, request: LineRequest): Promise<ServerAnswer> {
  const signal = AbortSignal.timeout(request.limitMilliseconds);
  const line = new Line(request, signal);
  const started = Date.now();
  try {
    const socket = await line.open(url);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = { createConnection: () => socket, signal, headers: { "user-agent": "jacamar" } };
      const sent = url.protocol === "https:" ? https.get(url, options) : http.get(url, options);
      sent.once("response", resolve);
      sent.on("error", (error) => reject(new Failure(line.explain(error) + line.via)));
    });
    // What comes after is of no interest, and may be cut off.
    response.on("error", () => undefined);
    const ours = (started + Date.now()) / 2;
    const theirs = Date.parse(response.headers.date ?? "");
    response.destroy();
    return {
      kind: "answered",
      status: response.statusCode ?? 0,
      clock: Number.isNaN(theirs) ? undefined : { theirs, ours },
    };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { kind: "failed", why: error.message, untrusted: error.message.includes("certificate is not trusted") };
  } finally {
    line.close();
  }
}
