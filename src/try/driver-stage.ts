import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type DriverProcessEnd, start } from "../process/driver-process.ts";

/** How one call of the driver ended, read as the runner reads it. */
export type StageOutcome =
  | { readonly kind: "ok" }
  /** The job's own fault: the driver exited with BUILD_FAILURE_EXIT_CODE. */
  | { readonly kind: "script"; readonly exitCode: number; readonly message: string }
  /** Not the job's fault. */
  | { readonly kind: "system"; readonly message: string };

export interface DriverCall {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly buildExitCodeFile: string;
  readonly onStdout: (chunk: Buffer) => void;
  readonly onStderr: (chunk: Buffer) => void;
  /** When it fires, the driver is told to stop. */
  readonly stop: AbortSignal;
  /** Seconds between SIGTERM and SIGKILL. */
  readonly gracefulTimeoutSeconds: number;
}

export const buildFailureExitCode = 1;
export const systemFailureExitCode = 2;
const forceKillSeconds = 10;

/**
 * Calls the driver once. When `stop` fires: SIGTERM to its whole process group, after the graceful time SIGKILL, after
 * ten seconds more it is given up. What the driver then exits with still counts (facts/gitlab-runner.md, 1.7 and 1.9).
 */
export async function callDriver(call: DriverCall): Promise<StageOutcome> {
  const child = start(call.argv, {
    env: call.env,
    cwd: call.cwd,
    stdin: "ignore",
    onStdout: call.onStdout,
    onStderr: call.onStderr,
  });
  const { promise: stopped, resolve: onStop } = Promise.withResolvers<"stop">();
  const listener = () => onStop("stop");
  if (call.stop.aborted) listener();
  else call.stop.addEventListener("abort", listener, { once: true });
  const first = await Promise.race([child.ended, stopped]);
  call.stop.removeEventListener("abort", listener);
  if (first !== "stop") return interpret(first, call.buildExitCodeFile);

  child.signalGroup("SIGTERM");
  let end = await within(child.ended, call.gracefulTimeoutSeconds);
  if (end === undefined) {
    child.signalGroup("SIGKILL");
    end = await within(child.ended, forceKillSeconds);
  }
  if (end !== undefined) return interpret(end, call.buildExitCodeFile);
  child.abandon();
  const message = `failed to kill process PID=${child.pid ?? 0}, likely process is dormant`;
  return { kind: "system", message };
}

async function within<T>(promise: Promise<T>, seconds: number): Promise<T | undefined> {
  const timer = new AbortController();
  const timeout = sleep(seconds * 1000, undefined, { signal: timer.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    timer.abort();
  }
}

/** The runner's table of exit codes. A file variable with the code counts for every stage that exits with 1. */
async function interpret(end: DriverProcessEnd, buildExitCodeFile: string): Promise<StageOutcome> {
  if ("notStarted" in end) return { kind: "system", message: `failed to start command: ${end.notStarted}` };
  if (end.signal !== null) return unknown(-1, `signal: ${end.signal}`);
  const { exitCode } = end;
  if (exitCode === 0) return { kind: "ok" };
  if (exitCode === systemFailureExitCode) return { kind: "system", message: `exit status ${exitCode}` };
  if (exitCode !== buildFailureExitCode) return unknown(exitCode, `exit status ${exitCode}`);
  const content = await readFile(buildExitCodeFile, "utf8").catch(() => undefined);
  if (content === undefined) return { kind: "script", exitCode, message: `exit status ${exitCode}` };
  const line = (content.split("\n")[0] ?? "").replace(/\r$/, "");
  if (!/^[+-]?\d+$/.test(line)) return unknown(systemFailureExitCode, `exit status ${exitCode}`);
  return { kind: "script", exitCode: Number(line), message: `exit status ${line}` };
}

function unknown(exitCode: number, how: string): StageOutcome {
  return {
    kind: "system",
    message: `unknown Custom executor executable exit code ${exitCode}; executable execution terminated with: ${how}`,
  };
}
