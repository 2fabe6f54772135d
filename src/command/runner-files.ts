import { readFileSync } from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { readContract, requireJobResponse } from "../gitlab/contract.ts";
import { ExitCodeFile } from "../gitlab/exit-code-file.ts";
import { type Job, readJob } from "../gitlab/job.ts";
import type { JobLog } from "../log/job-log.ts";

/** Where a failing script's own exit code goes. */
export interface ExitCodeSink {
  /**
   * Leaves the script's exit code, 0 to 255, for the runner; once. Returns false where the runner does not take it: then only the
   * job log can tell it, by {@link sayExitCode}. Throws `runner_contract`.
   */
  write(code: number): boolean;
}

/**
 * The runner's own files of a stage. They lie in a directory that only the runner's account can enter, so they are read,
 * and the exit code's file is opened, before the rights of that account are given up.
 */
export interface RunnerFiles {
  /** The job, or why it is not known. */
  readonly job: Job | JacamarError;
  /** The generated script; undefined for a stage that has none. */
  readonly script: Uint8Array | undefined;
  readonly exitCode: ExitCodeSink;
}

/**
 * Reads the files of a stage. A job response that cannot be read is kept as its error: cleanup can do without.
 *
 * @param scriptFile for a run stage, which alone reports an exit code.
 * Throws `runner_contract` for the script and the exit code's file.
 */
export function readRunnerFiles(environment: Readonly<NodeJS.ProcessEnv>, scriptFile: string | undefined): RunnerFiles {
  const contract = readContract(environment);
  if (scriptFile === undefined) return { job: tryReadJob(environment), script: undefined, exitCode: noExitCode };
  const exitCode = new ExitCodeFile(contract.buildExitCodeFile);
  return { job: tryReadJob(environment), script: readScript(scriptFile), exitCode };
}

/** The job, where a stage cannot do without. Throws `job_response_invalid` or `runner_contract`. */
export function requireJob(files: RunnerFiles): Job {
  if (files.job instanceof JacamarError) throw files.job;
  return files.job;
}

/** The generated script of a run stage. */
export function requireScript(files: RunnerFiles): Uint8Array {
  if (files.script === undefined) throw new Error("a run stage without its script");
  return files.script;
}

/** A stage that runs no script has no exit code to report. */
const noExitCode: ExitCodeSink = { write: () => true };

/** Tells the user the exit code of a script where the runner says "exit status 1" of every script that fails. */
export function sayExitCode(code: number, log: JobLog): void {
  if (code === 1) return;
  log.sayAfterScript(
    `The script ended with exit code ${code}. (This GitLab Runner knows only 1; version 17.9 and newer tell GitLab the code.)`,
  );
}

function tryReadJob(environment: Readonly<NodeJS.ProcessEnv>): Job | JacamarError {
  try {
    return readJob(requireJobResponse(readContract(environment)));
  } catch (error) {
    if (error instanceof JacamarError) return error;
    throw error;
  }
}

/** Reads the generated script. Throws `runner_contract`. */
export function readScript(scriptFile: string): Uint8Array {
  try {
    return readFileSync(scriptFile);
  } catch (cause) {
    throw new JacamarError(
      "runner_contract",
      `Cannot read the runner's script "${scriptFile}": ${systemErrorCode(cause) ?? "unknown error"}`,
      { cause },
    );
  }
}
