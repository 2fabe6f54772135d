import { JacamarError } from "../error/error.ts";

/** What the runner hands to every stage beside the job's variables (facts/gitlab-runner.md, 1.4). */
export interface RunnerContract {
  /** Exit code that says: the job's own fault. */
  readonly buildFailureExitCode: number;
  /** Exit code that says: not the job's fault. */
  readonly systemFailureExitCode: number;
  /** Where the script's own exit code goes. Runners before 17.9 do not offer it. */
  readonly buildExitCodeFile: string | undefined;
  readonly jobResponseFile: string | undefined;
}

/** Reads the contract. Throws `runner_contract` when an exit code is missing or not a number from 1 to 255. */
export function readContract(environment: Readonly<NodeJS.ProcessEnv>): RunnerContract {
  return {
    buildFailureExitCode: exitCode(environment, "BUILD_FAILURE_EXIT_CODE"),
    systemFailureExitCode: exitCode(environment, "SYSTEM_FAILURE_EXIT_CODE"),
    buildExitCodeFile: nonEmpty(environment["BUILD_EXIT_CODE_FILE"]),
    jobResponseFile: nonEmpty(environment["JOB_RESPONSE_FILE"]),
  };
}

/** The path of the job response. Throws `runner_contract` when the runner did not give one. */
export function requireJobResponse(contract: RunnerContract): string {
  if (contract.jobResponseFile !== undefined) return contract.jobResponseFile;
  throw new JacamarError("runner_contract", "GitLab Runner gave no JOB_RESPONSE_FILE", {
    hint: "Use GitLab Runner 14.0 or newer.",
  });
}

function exitCode(environment: Readonly<NodeJS.ProcessEnv>, name: string): number {
  const text = environment[name];
  if (text === undefined || !/^[1-9][0-9]{0,2}$/.test(text) || Number(text) > 255) {
    throw new JacamarError("runner_contract", `GitLab Runner gave no valid ${name}`, {
      hint: "This program is called by GitLab Runner as a custom executor. To see a job without a runner, use: jacamar try",
    });
  }
  return Number(text);
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}
