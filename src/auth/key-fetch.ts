import type { KeyServer } from "./key-server.ts";
import { type SigningKey, signingKeys } from "./key-set.ts";
import { Failure } from "./line.ts";
import { askServer, type ServerRequest } from "./server-request.ts";

export interface KeyRequest extends Pick<ServerRequest, "tlsCaFile" | "environment" | "limitMilliseconds"> {
  readonly server: KeyServer;
}

/** The keys, never none; or a sentence's end for the administrator, without secrets. */
export type FetchedKeys =
  | { readonly kind: "fetched"; readonly keys: readonly SigningKey[] }
  | { readonly kind: "failed"; readonly why: string };

/** Asks a server for its public keys. Never rejects for what the server, the line or the proxy do. */
export async function fetchKeys({ server, ...request }: KeyRequest): Promise<FetchedKeys> {
  try {
    const keys = signingKeys(await askServer({ url: server.keysUrl, ...request }));
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
