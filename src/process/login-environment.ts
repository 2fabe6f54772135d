import { JacamarError, systemErrorCode } from "../error/error.ts";
import { capture } from "./capture.ts";
import type { Command, Environment } from "./command.ts";

const profileSeconds = 300;
const longestWords = 300;

/**
 * The environment that a clean Bash of the user has after its start-up files: the user's PATH, proxies, modules. What the
 * start-up files print is dropped, but for the last complaint of one that fails.
 *
 * @param command writes the environment to descriptor 3, each `NAME=value` ended by NUL.
 * Throws `shell_failed`.
 */
export async function readLoginEnvironment(command: Command, stop: AbortSignal): Promise<Environment> {
  const [shell] = command.argv;
  let answer: Awaited<ReturnType<typeof capture>>;
  try {
    answer = await capture(command, { timeoutSeconds: profileSeconds, stop, answerOnDescriptor3: true });
  } catch (cause) {
    throw new JacamarError(
      "shell_failed",
      `Cannot start the shell "${shell}": ${systemErrorCode(cause) ?? "unknown error"}`,
      {
        hint: "The administrator sets its place with shell_path in [general].",
        cause,
      },
    );
  }
  const environment: Record<string, string> = {};
  // Half of an environment, as of a shell that the system killed while it wrote it, could lead all later stages astray.
  const isWhole = "exitCode" in answer.ending && answer.stdout.endsWith("\0");
  for (const entry of isWhole ? answer.stdout.split("\0") : []) {
    const equals = entry.indexOf("=");
    if (equals > 0) environment[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  if (Object.keys(environment).length > 0) return environment;
  throw new JacamarError("shell_failed", `A login of "${shell}" ended before it was ready${lastWords(answer.stderr)}`, {
    hint: "Does a start-up file (/etc/profile, ~/.bash_profile, ~/.profile) call exit or exec, or fail under set -e? It must not, when no terminal is there.",
  });
}

/** What a start-up file complained of last, such as the command that was not found: often the very reason. */
function lastWords(said: string): string {
  const last = said.split("\n").findLast((line) => line.trim() !== "");
  return last === undefined ? "" : `; it said last: ${last.trim().slice(0, longestWords)}`;
}
