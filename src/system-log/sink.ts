import { JacamarError } from "../error/error.ts";
import type { Level } from "./entry.ts";

/** `[auth.logging]` of the configuration. */
export interface LoggingSettings {
  readonly enabled: boolean;
  readonly level: Level;
  readonly location: string;
  readonly network: "tcp" | "udp" | undefined;
  readonly address: string | undefined;
  /** False: jobs run also when the log cannot be written. True when it is left out. */
  readonly required?: boolean | undefined;
}

/** What holds without `[auth.logging]`. */
export const defaultLogging: LoggingSettings = {
  enabled: true,
  level: "info",
  location: "syslog",
  network: undefined,
  address: undefined,
  required: true,
};

/** Where entries go. */
export type Sink =
  | { readonly kind: "syslog" }
  | { readonly kind: "remote"; readonly network: "tcp" | "udp"; readonly host: string; readonly port: number }
  | { readonly kind: "journald" }
  | { readonly kind: "file"; readonly path: string };

/**
 * Where the settings say that entries go. Nothing is touched.
 * Throws `config_invalid` for a location that is none, or a half or misplaced address of a remote syslog.
 */
export function chooseSink(settings: LoggingSettings): Sink {
  const { location, network, address } = settings;
  if ((network === undefined) !== (address === undefined)) {
    throw invalid("has network or address alone", "A remote syslog needs both; the local one needs neither.");
  }
  if (network !== undefined && address !== undefined) {
    if (location === "syslog") return { kind: "remote", network, ...parseAddress(address) };
    throw invalid(`has an address, and its location is "${location}"`, 'Only location = "syslog" has an address.');
  }
  if (location === "syslog" || location === "journald") return { kind: location };
  // oxlint-disable-next-line no-control-regex -- a path with control characters is a mistake
  if (/^(\/[^/\x00-\x1f\x7f]+)+$/.test(location) && !/\/\.{1,2}(\/|$)/.test(location)) {
    return { kind: "file", path: location };
  }
  throw invalid(
    `has the location "${location}"`,
    'It must be "syslog", "journald" or a file as a plain absolute path.',
  );
}

function parseAddress(address: string): { host: string; port: number } {
  const parts = /^(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]|([\w.-]+)):([0-9]{1,5})$/.exec(address);
  const host = parts?.[1] ?? parts?.[2];
  const port = Number(parts?.[3]);
  if (host !== undefined && port >= 1 && port <= 65_535) return { host, port };
  throw invalid(`has the address "${address}"`, 'It must be "host:port" or "[IPv6 address]:port".');
}

function invalid(what: string, hint: string): JacamarError {
  return new JacamarError("config_invalid", `[auth.logging] ${what}`, { hint });
}
