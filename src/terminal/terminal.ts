import { JacamarError, systemErrorCode } from "../error/error.ts";
import { ownCommand } from "../process/own-program.ts";

/** The outside world of a command for people: what a test replaces. */
export interface Terminal {
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly workingDirectory: string;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** The command that starts this same program. */
  readonly program: readonly [string, ...string[]];
}

/**
 * A command for people: gets what stands after its name, and returns the exit code of the program. A failure that it
 * throws is printed by `exit.ts`, with the exit code 2 for `usage` and for the site's failures.
 */
export type Tool = (argv: readonly string[], terminal: Terminal) => Promise<number>;

/** The terminal of this process. Throws `usage` in a directory that has been removed. */
export function ourTerminal(): Terminal {
  return {
    environment: process.env,
    workingDirectory: workingDirectory(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    program: ownCommand(),
  };
}

function workingDirectory(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw new JacamarError("usage", `Cannot use the working directory: ${systemErrorCode(cause) ?? "unknown error"}`, {
      hint: "It may have been removed: cd to another one.",
      cause,
    });
  }
}

/**
 * Runs a command for people in this terminal, and waits until all that it printed has been taken: what a pipe has not taken when the
 * process ends is lost. A reader that has gone away is no failure of the command; what cannot be written for another reason is: `usage`.
 */
export async function runInTerminal(tool: Tool, argv: readonly string[]): Promise<number> {
  const terminal = ourTerminal();
  let lost: Error | undefined;
  for (const stream of [terminal.stdout, terminal.stderr]) {
    stream.on("error", (error) => {
      if (systemErrorCode(error) !== "EPIPE") lost ??= error;
    });
  }
  const exitCode = await tool(argv, terminal);
  for (const stream of [terminal.stdout, terminal.stderr]) {
    await new Promise<void>((resolve) => stream.write("", () => resolve()));
  }
  if (lost === undefined) return exitCode;
  throw new JacamarError("usage", `Cannot write the output: ${systemErrorCode(lost) ?? "unknown error"}`, {
    cause: lost,
  });
}
