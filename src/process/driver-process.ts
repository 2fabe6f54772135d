import { type ChildProcess, spawn } from "node:child_process";
import { killGroup } from "./capture.ts";

/** What a driver process is started with, and where its output goes. */
export interface DriverProcessOptions {
  /** The whole environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdin: "ignore";
  readonly onStdout: (chunk: Buffer) => void;
  readonly onStderr: (chunk: Buffer) => void;
}

/** How a driver process ended. `notStarted` holds the system's reason, such as ENOENT or E2BIG. */
export type DriverProcessEnd =
  | { readonly exitCode: number; readonly signal: null }
  | { readonly exitCode: null; readonly signal: NodeJS.Signals }
  | { readonly notStarted: string };

export interface DriverProcess {
  /** Undefined when the process could not be started. */
  readonly pid: number | undefined;
  /** Sends a signal to the whole process group at once, as GitLab Runner does. A group that is gone is fine. */
  signalGroup(signal: NodeJS.Signals): void;
  /** Stops listening to a process that does not die, so that it holds up nothing any more. */
  abandon(): void;
  /** Settles when the process has exited *and* nobody holds its output any more, as GitLab Runner waits. Never rejects. */
  readonly ended: Promise<DriverProcessEnd>;
}

/**
 * Starts one process of a custom executor's driver as GitLab Runner does: in a process group of its own, with standard
 * input empty and two separate output pipes (facts/gitlab-runner.md, 1.8 and 1.9). No shell reads the arguments.
 */
export function start(argv: readonly [string, ...string[]], options: DriverProcessOptions): DriverProcess {
  const [program, ...args] = argv;
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...options.env },
      detached: true,
      stdio: [options.stdin, "pipe", "pipe"],
    });
  } catch (error) {
    // Node throws at once for some reasons (E2BIG, a zero byte in a value) and reports others later.
    return notStarted(error);
  }
  child.stdout?.on("data", options.onStdout);
  child.stderr?.on("data", options.onStderr);
  const { promise: ended, resolve } = Promise.withResolvers<DriverProcessEnd>();
  child.once("error", (error) => resolve({ notStarted: reason(error) }));
  child.once("close", (exitCode, signal) => {
    resolve(signal === null ? { exitCode: exitCode ?? 0, signal } : { exitCode: null, signal });
  });
  return {
    pid: child.pid,
    signalGroup: (signal) => killGroup(child.pid, signal),
    abandon: () => {
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
    },
    ended,
  };
}

function notStarted(error: unknown): DriverProcess {
  return {
    pid: undefined,
    signalGroup: () => undefined,
    abandon: () => undefined,
    ended: Promise.resolve({ notStarted: reason(error) }),
  };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
