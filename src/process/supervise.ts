import { spawn } from "node:child_process";
import { JacamarError } from "../error/error.ts";
import type { Ending, Environment } from "./command.ts";
import { lookOut, orphaned, pause } from "./signals.ts";

/** A child that does the work of this process as somebody else. */
export interface Supervised {
  /** Settles when the child has ended and its standard error is at its end, or some time later. */
  readonly ended: Promise<Ending>;
  /**
   * Asks the child to end what it does. A signal would not reach another user's process; a word on its input does. Without
   * the word, or after it, the end of its input tells it that we are gone, and so is whoever would clean up.
   */
  askToStop(): void;
  /** Tells the child that whoever started us is gone. Also after {@link askToStop}; a second call does nothing. */
  leaveAlone(): void;
}

const lingerMilliseconds = 2000;
const stopWord = "stop\n";
/** How long the word of whoever handed the work over may come after a signal that has reached both. */
const wordMilliseconds = 3000;

/**
 * Starts a program that shares our standard output, gets `input` on its standard input, and whose standard error goes to
 * `onStderr`. Its standard input stays open until it is asked to stop, and ends with this process however that ends.
 * Rejects with Node's error when it cannot be started.
 */
export function supervise(
  argv: readonly [string, ...string[]],
  environment: Environment,
  input: string,
  onStderr: (chunk: Uint8Array) => void,
): Promise<Supervised> {
  const [program, ...args] = argv;
  const child = spawn(program, args, { cwd: "/", env: { ...environment }, stdio: ["pipe", "inherit", "pipe"] });
  // A child that ended early does not read; its exit code tells.
  child.stdin.on("error", () => undefined);
  child.stderr.on("data", onStderr);
  const ended = new Promise<Ending>((resolve) => {
    child.once("exit", (exitCode, signal) => {
      const finish = () => {
        clearTimeout(timer);
        child.stderr.destroy();
        child.stdin.destroy();
        resolve(signal === null ? { exitCode: exitCode ?? 0 } : { signal });
      };
      // It may have been at its end before the child was.
      const timer = setTimeout(finish, child.stderr.closed ? 0 : lingerMilliseconds);
      child.stderr.once("close", finish);
    });
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => {
      child.off("error", reject);
      child.stdin.write(input);
      resolve({ ended, askToStop: () => child.stdin.write(stopWord), leaveAlone: () => child.stdin.end() });
    });
  });
}

/**
 * Reads the first line of standard input, and then fires when anything more comes, or the input ends: whoever handed the work
 * over wants it to end, or is gone (`orphaned`). Rejects with `runner_contract` when there is no whole line of at most `limitBytes`.
 */
export function readHandedOver(limitBytes: number): Promise<{ line: string; gone: AbortSignal }> {
  const controller = new AbortController();
  const heard = new AbortController();
  let isOver = false;
  lookOut(controller.signal, async () => {
    await pause(wordMilliseconds, heard.signal);
    return isOver;
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    let resolved = false;
    process.stdin.on("data", (chunk: Buffer) => {
      if (resolved) return stopped("SIGTERM");
      chunks.push(chunk);
      bytes += chunk.length;
      const end = chunk.indexOf("\n");
      if (end !== -1) {
        resolved = true;
        if (end < chunk.length - 1) stopped("SIGTERM");
        const line = Buffer.concat(chunks).subarray(0, bytes - chunk.length + end);
        resolve({ line: line.toString("utf8"), gone: controller.signal });
      } else if (bytes > limitBytes) {
        reject(notHandedOver());
      }
    });
    const over = () => {
      if (!resolved) return reject(notHandedOver());
      isOver = true;
      stopped(orphaned);
    };
    function stopped(reason: string): void {
      heard.abort();
      controller.abort(reason);
    }
    process.stdin.once("end", over);
    process.stdin.once("close", over);
    process.stdin.once("error", over);
  });
}

function notHandedOver(): JacamarError {
  return new JacamarError("runner_contract", "Standard input does not hold what jacamar-auth hands over", {
    hint: "This call is for jacamar-auth alone.",
  });
}
