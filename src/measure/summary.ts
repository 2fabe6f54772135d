import type { Measurements } from "./measurements.ts";

/**
 * What a script took, in one line for the job log: `queued 3m12s, container 0.2s, script 41s, 1.3 GB peak memory (of 2 GB)`.
 * What is not known, and a login that took no time, is left out. Undefined when the script did not run.
 */
export function summaryOf(measure: Measurements): string | undefined {
  const script = measure.seconds("script");
  if (script === undefined) return undefined;
  const { queueSeconds, peakMemoryBytes, memoryLimitBytes } = measure.facts;
  const queue = queueSeconds ?? measure.seconds("queue");
  const login = measure.seconds("login") ?? 0;
  const container = measure.seconds("container");
  const limit = memoryLimitBytes === undefined ? "" : ` (of ${size(memoryLimitBytes)})`;
  const parts = [
    queue === undefined ? [] : [`queued ${duration(queue)}`],
    container === undefined ? [] : [`container ${duration(container)}`],
    login < 0.1 ? [] : [`login ${duration(login)}`],
    [`script ${duration(script)}`],
    peakMemoryBytes === undefined ? [] : [`${size(peakMemoryBytes)} peak memory${limit}`],
  ];
  return parts.flat().join(", ");
}

/** A time as people read it: `0.2s`, `41s`, `3m12s`, `2h03m`. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m${two(whole % 60)}s`;
  return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

const units = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** A size as Podman and schedulers count it, 1024 to the next unit: `1.3 GB`, `2 GB`, `340 MB`. */
export function size(bytes: number): string {
  let value = bytes;
  let place = 0;
  while (value >= 999.5 && place < units.length - 1) {
    value /= 1024;
    place += 1;
  }
  const text = value < 9.95 && place > 0 ? value.toFixed(1).replace(/\.0$/, "") : String(Math.round(value));
  return `${text} ${units[place] ?? ""}`;
}
