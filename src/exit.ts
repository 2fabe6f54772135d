import { JacamarError } from "./error/error.ts";
import { JobLog } from "./log/job-log.ts";

/**
 * Runs a program to its end. Every way out passes here: only this function prints a failure and picks an exit code.
 *
 * @param stop tells whether the runner has ended the stage; undefined for a program that no runner calls.
 */
export async function runProgram(program: () => Promise<number>, stop: AbortSignal | undefined): Promise<never> {
  process.umask(0o077);
  // Node would end with 1, which the runner takes for a failing script.
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => void fail(error, stop).then((failure) => process.exit(failure)));
  }
  let code: number;
  try {
    code = await program();
    // A stage that the runner has ended must not look as if it had worked (facts/gitlab-runner.md, trap 5).
    if (code === 0 && stop?.aborted === true) code = systemFailure();
  } catch (error) {
    code = await fail(error, stop);
  }
  // All output has been written by then, and nothing that a job left behind may hold this process.
  process.exit(code);
}

/** Says what failed, and returns the exit code by which the runner knows whose fault it is. */
async function fail(error: unknown, stop: AbortSignal | undefined): Promise<number> {
  const log = new JobLog(2);
  if (!(error instanceof JacamarError)) {
    log.say(`ERROR: A defect of this program has ended the stage (internal error ${await logged(error)}`);
    return systemFailure();
  }
  // The script has said itself what was wrong, and the runner reports its exit code.
  if (error.code !== "script_failed") {
    log.say(`ERROR: ${error.message}${error.hint === undefined ? "" : `\n  ${error.hint}`}`);
  }
  const isJobsFault = error.blame === "job" && stop?.aborted !== true;
  return isJobsFault ? buildFailure() : systemFailure();
}

/** Logs a defect; what the job log says of it. What writes the log is read only now, and may be missing. */
async function logged(error: unknown): Promise<string> {
  try {
    const { logDefect } = await import("./system-log/defect.ts");
    const { id, isLogged } = await logDefect(error);
    const where = isLogged ? "The system log has the details under this id." : "The system log cannot be written.";
    return `${id})\n  ${where}`;
  } catch {
    return "without an id)\n  The system log cannot be written.";
  }
}

function buildFailure(): number {
  return exitCode("BUILD_FAILURE_EXIT_CODE", 1);
}

function systemFailure(): number {
  return exitCode("SYSTEM_FAILURE_EXIT_CODE", 2);
}

function exitCode(name: string, otherwise: number): number {
  const text = process.env[name] ?? "";
  return /^[1-9][0-9]{0,2}$/.test(text) && Number(text) <= 255 ? Number(text) : otherwise;
}
