import { hostname } from "node:os";
import type { Level } from "./entry.ts";

/** The name under which every syslog daemon and journald know our entries. */
export const tag = "jacamar";

/** `authpriv`: what is not for every user's eyes (RFC 5424, 6.2.1). */
const facility = 10;
const severities = { debug: 7, info: 6, warn: 4, error: 3 } as const satisfies Record<Level, number>;

/** Facility and severity as one number (RFC 5424, 6.2.1). */
export function priority(level: Level): number {
  return facility * 8 + severities[level];
}

/** One syslog message of RFC 5424 around a line of printable ASCII. */
export function syslogMessage(line: string, level: Level, time: Date): string {
  const host =
    hostname()
      .replaceAll(/[^!-~]/g, "")
      .slice(0, 255) || "-";
  return `<${priority(level)}>1 ${time.toISOString()} ${host} ${tag} ${process.pid} - - ${line}`;
}
