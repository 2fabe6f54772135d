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
