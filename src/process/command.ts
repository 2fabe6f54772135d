/** The environment of a program, whole: nothing is added to it. */
export type Environment = Readonly<Record<string, string>>;

/** A program to start. The arguments go to it as they are; no shell reads them. */
export interface Command {
  readonly argv: readonly [program: string, ...args: string[]];
  readonly environment: Environment;
  readonly workingDirectory: string;
}

/** How a program ended: with an exit code, or by a signal. */
export type Ending = { readonly exitCode: number } | { readonly signal: NodeJS.Signals };

/** The code that a shell would show for an ending: 128 and the signal's number for a signal. */
export function shellExitCode(ending: Ending, signalNumbers: Readonly<Record<string, number>>): number {
  if ("exitCode" in ending) return ending.exitCode;
  return 128 + (signalNumbers[ending.signal] ?? 0);
}
