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
    const { defectId } = await import("./error/defect-id.ts");
    const { defaultLogging } = await import("./system-log/sink.ts");
    const { writeEntry } = await import("./system-log/system-log.ts");
    const id = defectId(error);
    // The local syslog, whatever the configuration says: by now this may be the user, who cannot write root's log.
    const settings = { ...defaultLogging, required: false };
    const message = "A defect of this program has ended the stage";
    const written = await writeEntry(settings, {
      kind: "defect",
      id,
      message,
      time: new Date(),
      stack: stackOf(error),
    });
    const logged = written === "written";
    const where = logged ? "The system log has the details under this id." : "The system log cannot be written.";
    log.say(`ERROR: A defect of this program has ended the stage (internal error ${id})\n  ${where}`);
    return systemFailure();
  }
  // The script has said itself what was wrong, and the runner reports its exit code.
  if (error.code !== "script_failed") {
    log.say(`ERROR: ${error.message}${error.hint === undefined ? "" : `\n  ${error.hint}`}`);
  }
  const isJobsFault = error.blame === "job" && stop?.aborted !== true;
  return isJobsFault ? buildFailure() : systemFailure();
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
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
