import { type StdioOptions, spawn } from "node:child_process";
import type { Command, Ending } from "./command.ts";
import { descendantsOf, signalProcess } from "./job-processes.ts";

export interface Captured {
  readonly ending: Ending;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CaptureOptions {
  /** The program is killed after that many seconds. */
  readonly timeoutSeconds: number;
  /** Ends the program at once when it fires. */
  readonly stop?: AbortSignal;
  /**
   * What is killed with the program: all that descends from it, also in sessions of its own and stopped. For a program that works
   * as another user, who could hold it up for good. Without it, its process group.
   */
  readonly killDescendants?: boolean;
  /** Gets what the program writes to descriptor 3 in place of standard output, which then is dropped. */
  readonly answerOnDescriptor3?: boolean;
  /** An open file of ours that the program gets as its descriptor 3. */
  readonly passOnDescriptor3?: number;
}

/** Ends each program that has not answered yet. */
const unanswered = new Set<() => void>();

/** Nobody waits for an answer any more: a scheduler's client that hangs would hang for ever. */
function endAllAtExit(): void {
  for (const kill of unanswered) {
    try {
      kill();
    } catch {
      // Somebody else's by now; the others are still to be ended.
    }
  }
}

const limitBytes = 16 * 1024 * 1024;
const lingerMilliseconds = 500;
const unkillableMilliseconds = 2000;

/**
 * Runs a short program to its end and returns what it wrote (at most 16 MiB of each stream).
 * One that is killed and does not end is not waited for: it counts as ended by SIGKILL.
 * It runs in a session of its own, so that a signal to the driver's process group does not reach it; when this process exits, it is
 * killed.
 * Rejects with Node's error when it cannot be started.
 */
export function capture(command: Command, options: CaptureOptions): Promise<Captured> {
  const [program, ...args] = command.argv;
  const onThree = options.answerOnDescriptor3 === true;
  const third = onThree ? "pipe" : options.passOnDescriptor3;
  const stdio: StdioOptions = ["ignore", onThree ? "ignore" : "pipe", "pipe"];
  if (third !== undefined) stdio.push(third);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: command.workingDirectory,
      env: { ...command.environment },
      detached: true,
      stdio,
    });
    const stdout = collect(onThree ? child.stdio[3] : child.stdout);
    const stderr = collect(child.stderr);
    let giveUp: NodeJS.Timeout | undefined;
    const kill = () => {
      // The kernel ends no program that waits for a file server, and lets us end none that has become another user.
      giveUp ??= setTimeout(() => {
        child.unref();
        settle(() => resolve({ ending: { signal: "SIGKILL" }, stdout: stdout(), stderr: stderr() }));
      }, unkillableMilliseconds);
      const below = options.killDescendants === true && child.pid !== undefined ? descendantsOf(child.pid) : [];
      try {
        killGroup(child.pid, "SIGKILL");
      } catch {
        // Nothing more can be done.
      }
      for (const pid of below) signalProcess(pid, "SIGKILL");
    };
    const timer = setTimeout(kill, options.timeoutSeconds * 1000);
    options.stop?.addEventListener("abort", kill, { once: true });
    if (unanswered.size === 0) process.once("exit", endAllAtExit);
    unanswered.add(kill);
    let linger: NodeJS.Timeout | undefined;
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      clearTimeout(linger);
      clearTimeout(giveUp);
      unanswered.delete(kill);
      if (unanswered.size === 0) process.off("exit", endAllAtExit);
      options.stop?.removeEventListener("abort", kill);
      for (const stream of child.stdio) stream?.destroy();
      finish();
    };
    child.once("error", (error) => settle(() => reject(error)));
    child.once("exit", (exitCode, signal) => {
      const ending: Ending = signal === null ? { exitCode: exitCode ?? 0 } : { signal };
      const finish = () => settle(() => resolve({ ending, stdout: stdout(), stderr: stderr() }));
      child.once("close", finish);
      // A process that the program left behind may hold its output for ever.
      linger = setTimeout(finish, lingerMilliseconds);
    });
    if (options.stop?.aborted === true) kill();
  });
}

/** Sends a signal to the process group that a started program leads. A group that is gone is fine. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ESRCH") throw error;
  }
}

function collect(stream: unknown): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  if (isReadable(stream)) {
    stream.on("data", (chunk: Buffer) => {
      if (bytes >= limitBytes) return;
      chunks.push(chunk);
      bytes += chunk.length;
    });
    // A reset at the end of a killed program is no news.
    stream.on("error", () => undefined);
  }
  return () => Buffer.concat(chunks).toString("utf8");
}

function isReadable(stream: unknown): stream is NodeJS.ReadableStream {
  return typeof stream === "object" && stream !== null && "on" in stream;
}
