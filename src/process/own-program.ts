import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The command that starts this same program again: Node.js with its options and the bundle with its compiled code, or the
 * single executable alone, which names itself as its script (packaging/executable/start.ts).
 */
export function ownCommand(): readonly [string, ...string[]] {
  const script = process.argv[1] ?? "";
  if (script === process.execPath) return [script];
  const start = join(dirname(script), "start.cjs");
  return [process.execPath, ...process.execArgv, ...(existsSync(start) ? [start] : []), script];
}

/**
 * The same program, started by way of env(1), for a process that has capabilities of its file: env has none, so the program gains them
 * anew, and only then the kernel closes its memory and its entries in /proc to the account that it runs as, and writes no core of it
 * (`commit_creds`; credentials.rst of the kernel's documentation: "dumpable").
 */
export function startedAnew(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  return ["/usr/bin/env", "--", ...command];
}
