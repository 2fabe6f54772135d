/** An argument as a shell reads it; quoted only where it must be. */
function shownArgument(argument: string): string {
  if (/^[A-Za-z0-9_./:=@%+,-]+$/.test(argument)) return argument;
  return `'${argument.replaceAll("'", "'\\''")}'`;
}

/** A command for people to read and to paste, an option to a line. */
export function shownCommand(argv: readonly string[]): string {
  const lines: string[] = [];
  for (const argument of argv) {
    const shown = shownArgument(argument);
    const last = lines.at(-1);
    const isValue = last !== undefined && /^--?[a-z][a-z-]*$/.test(last) && !argument.startsWith("-");
    if (last === undefined || !(isValue || lines.length === 1)) lines.push(shown);
    else lines[lines.length - 1] = `${last} ${shown}`;
  }
  return lines.join(" \\\n    ");
}
