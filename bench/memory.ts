import { readFileSync } from "node:fs";
import type { Running } from "../test/harness/machine.ts";

/** Proportional set size of our own processes, in MB; not of the user's script. */
export function pss(running: Running): { all: number; own: number } {
  // setpriv and the launcher have replaced themselves: this is Node.js.
  const text = readFileSync(`/proc/${running.pid}/smaps_rollup`, "utf8");
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN);
  return { all: kilobytes("Pss") / 1024, own: kilobytes("Pss_Anon") / 1024 };
}

/** The row's text of what some drivers take on average, and the mean in MB. */
export function memoryOf(running: readonly Running[]): { mean: number; text: string } {
  const sizes = running.map(pss);
  const mean = sizes.reduce((sum, size) => sum + size.all, 0) / running.length;
  const own = sizes.reduce((sum, size) => sum + size.own, 0) / running.length;
  const text = `${mean.toFixed(1)} MB a job, of which ${own.toFixed(1)} MB are its own and the rest is Node.js itself, shared by all`;
  return { mean, text };
}
