import { existsSync } from "node:fs";
import { requireClosedProgram } from "../downscope/closed-program.ts";
import { ExitCodeFilter, packHandover } from "../downscope/handover.ts";
import { becomeUser, closeInherited, dropCapabilities, requireCapabilities } from "../downscope/setuid.ts";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { readContract } from "../gitlab/contract.ts";
import { ExitCodeFile } from "../gitlab/exit-code-file.ts";
import { readJobResponse } from "../gitlab/job.ts";
import type { JobLog } from "../log/job-log.ts";
import { writeWhole } from "../log/output.ts";
import { startedAnew } from "../process/own-program.ts";
import { isLeftAlone } from "../process/signals.ts";
import { supervise } from "../process/supervise.ts";
import { type StageCall, runStage, stageName } from "./call.ts";
import { openContext } from "./context.ts";
import { readRunnerFiles, readScript, sayExitCode } from "./runner-files.ts";
import { checkIdentity, checkJob, requireIdentity } from "./identity.ts";
import { readyFilter } from "./ready-filter.ts";
import { openRecord } from "./record-stage.ts";
import { type Identity, type JobState, stateVariable, unpackState } from "./state.ts";

/** What a stage of `jacamar-auth` has to go by. */
export interface PrivilegedCall {
  readonly call: StageCall;
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  readonly stop: AbortSignal;
  readonly log: JobLog;
  /** The command that starts this same program, with whatever capabilities its file has. */
  readonly ownCommand: readonly [string, ...string[]];
}

/**
 * Does a stage as the user whom the config stage decided on, through the configured door:
 *
 * - `setuid` as root: this process becomes the user, then does the work;
 * - `setuid` as a service account: a child with the file's capabilities becomes the user, since the runner could not
 *   signal a process that is another user's. This process gives its capabilities up, waits, and passes on that the
 *   runner wants the stage to end;
 * - `sudo`: the same with a child of sudo;
 * - `none`: as the account that called.
 *
 * What lies in the runner's own directory is read before. Returns the exit code of the stage. Throws `state_missing`,
 * `downscope_failed`, and what the stage throws.
 */
export async function runStageAsUser(privileged: PrivilegedCall): Promise<number> {
  const { call, environment, stop, log } = privileged;
  const state = unpackState(environment);
  // The config stage failed or refused the job: it has made nothing, and there is nobody to become.
  if (state === undefined && call.command === "cleanup") return 0;
  const identity = requireIdentity(state);
  if (state === undefined) throw new Error("an identity without a state");
  if (identity.downscope === "setuid" && process.geteuid?.() !== 0) {
    requireCapabilities();
    return supervised(privileged, state, identity, "capabilities");
  }
  if (identity.downscope === "sudo") return supervised(privileged, state, identity, "sudo");
  const files = readRunnerFiles(environment, call.command === "run" ? call.script : undefined);
  checkJob(state, files.job);
  const through = identity.downscope === "setuid";
  const recorder = through ? await openRecord(state, stageName(call)) : undefined;
  const filter = await readyFilter(identity);
  if (through) becomeUser(identity, filter);
  else {
    closeInherited();
    filter?.load();
  }
  const context = openContext(environment, files, stop);
  checkIdentity(context.account, identity);
  await runStage(call, context, log, through ? { kind: "opened", recorder } : { kind: "here" });
  return 0;
}

async function supervised(
  privileged: PrivilegedCall,
  state: JobState,
  identity: Identity,
  door: "capabilities" | "sudo",
): Promise<number> {
  const { call, environment, stop } = privileged;
  if (door === "capabilities") requireClosedProgram(process.execPath);
  const contract = readContract(environment);
  const exitCode = call.command === "run" ? new ExitCodeFile(contract.buildExitCodeFile) : undefined;
  const { randomBytes } = await import("node:crypto");
  const nonce = randomBytes(16).toString("hex");
  const response = readResponse(contract.jobResponseFile, call);
  const handover = packHandover({
    stage: call.command,
    scriptStage: call.command === "run" ? call.stage : "",
    environment: handedEnvironment(environment),
    response,
    script: call.command === "run" ? Buffer.from(readScript(call.script)).toString("base64") : undefined,
    nonce,
  });
  const filter = new ExitCodeFilter(nonce, (chunk) => writeWhole(2, chunk));
  const argv = door === "sudo" ? sudoCommand(identity) : startedAnew([...privileged.ownCommand, handoverOption]);
  let child: Awaited<ReturnType<typeof supervise>>;
  try {
    child = await supervise(
      argv,
      { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
      handover,
      (chunk) => filter.write(chunk),
    );
  } catch (cause) {
    throw new JacamarError(
      "downscope_failed",
      `Cannot start "${argv[0]}": ${systemErrorCode(cause) ?? "unknown error"}`,
      { cause },
    );
  }
  if (door === "capabilities") dropCapabilities();
  const end = async () => ((await isLeftAlone(stop)) ? child.leaveAlone() : child.askToStop());
  stop.addEventListener("abort", () => void end(), { once: true });
  if (stop.aborted) await end();
  // The runner may go away after it has asked for the end, too.
  const look = setInterval(() => void isLeftAlone(stop).then((alone) => alone && child.leaveAlone()), lookMilliseconds);
  const ending = await child.ended;
  clearInterval(look);
  filter.end();
  if (state.config.record !== undefined) {
    const { recordChild } = await import("./record-child.ts");
    const runnerShortToken = environment["CUSTOM_ENV_CI_RUNNER_SHORT_TOKEN"];
    const stage = stageName(call);
    await recordChild({
      state,
      stage,
      response,
      identity,
      runnerShortToken,
      told: filter.record,
      stopped: stop.aborted,
    });
  }
  if (filter.exitCode !== undefined && exitCode?.write(filter.exitCode) === false) {
    sayExitCode(filter.exitCode, privileged.log);
  }
  if ("exitCode" in ending && ending.exitCode === 0) return 0;
  // sudo ends with the same code when it refuses.
  const isJobsFault = filter.begun && "exitCode" in ending && ending.exitCode === buildFailureOfChild;
  return isJobsFault ? contract.buildFailureExitCode : contract.systemFailureExitCode;
}

const lookMilliseconds = 1000;

const handoverOption = "--handover";

/** The child does not know the runner's exit codes; it ends with the usual ones (see `exit.ts`). */
const buildFailureOfChild = 1;

const sudoPlaces = ["/usr/bin/sudo", "/usr/local/bin/sudo", "/opt/sudo/bin/sudo"];

function sudoCommand(identity: Identity): readonly [string, ...string[]] {
  const sudo = sudoPlaces.find((path) => existsSync(path));
  if (sudo === undefined) throw new JacamarError("downscope_failed", `There is no sudo in ${sudoPlaces.join(", ")}`);
  return [sudo, "--non-interactive", `--user=${identity.name}`, "--", identity.jacamarPath, handoverOption];
}

/**
 * The job's variables, the state and the runner's exit codes: nothing else of the runner's own environment. With sudo the
 * process that gets it is the user's, who can read its memory.
 */
function handedEnvironment(environment: Readonly<NodeJS.ProcessEnv>): Record<string, string> {
  const names = new Set([stateVariable, "BUILD_FAILURE_EXIT_CODE", "SYSTEM_FAILURE_EXIT_CODE"]);
  const handed: Record<string, string> = {};
  for (const [key, value] of Object.entries(environment)) {
    if (value !== undefined && (names.has(key) || key.startsWith("CUSTOM_ENV_"))) handed[key] = value;
  }
  return handed;
}

/** The runner may have taken its files away when cleanup comes. */
function readResponse(path: string | undefined, call: StageCall): string | undefined {
  try {
    return path === undefined ? undefined : readJobResponse(path);
  } catch (error) {
    if (call.command === "cleanup" && error instanceof JacamarError) return undefined;
    throw error;
  }
}
