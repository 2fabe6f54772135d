/**
 * The command that starts this same program again: Node.js with its bundle, or the single executable alone, which names
 * itself as its script (packaging/executable/start.ts).
 */
export function ownCommand(): readonly [string, ...string[]] {
  const script = process.argv[1] ?? "";
  return script === process.execPath ? [script] : [process.execPath, script];
}
