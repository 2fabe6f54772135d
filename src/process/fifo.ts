import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, unlinkSync } from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { capture, type Captured } from "./capture.ts";

/**
 * Makes named pipes in a directory, for {@link takeFifo}. Node gives a child sockets as its output, and
 * `echo > /dev/stderr` fails on a socket; so scripts get real pipes, made for a whole job by one call of mkfifo.
 * Throws `disk_full` or `directory_failed`.
 */
export async function makeFifos(directory: string, count: number): Promise<void> {
  const paths = Array.from({ length: count }, (_, index) => `${directory}/${index}`);
  let made: Captured;
  try {
    made = await capture(
      {
        argv: ["mkfifo", "-m", "600", "--", ...paths],
        environment: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" },
        workingDirectory: "/",
      },
      { timeoutSeconds: 60 },
    );
  } catch (cause) {
    throw notMade(directory, `mkfifo cannot be started: ${systemErrorCode(cause) ?? "unknown error"}`, cause);
  }
  if (!("exitCode" in made.ending) || made.ending.exitCode !== 0) {
    throw notMade(directory, made.stderr.trim().split("\n")[0] ?? "");
  }
}

function notMade(directory: string, why: string, cause?: unknown): JacamarError {
  const full = /No space left on device|quota exceeded/i.test(why);
  return new JacamarError(full ? "disk_full" : "directory_failed", `Cannot make pipes in "${directory}": ${why}`, {
    hint: "The file system of data_dir must have space and know named pipes (mkfifo).",
    cause,
  });
}

/** A pipe with both ends open here. Its name is gone: nobody else can open it, and no later stage meets its bytes. */
export interface Fifo {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/**
 * Takes one pipe out of the directory; undefined when none is left. Never waits, whatever a job has put there.
 * Throws `directory_failed` when it is no directory of pipes any more.
 */
export function takeFifo(directory: string): Fifo | undefined {
  try {
    const [name] = readdirSync(directory);
    if (name === undefined) return undefined;
    const path = `${directory}/${name}`;
    // Read and write at once never blocks on Linux (fifo(7)), and keeps the reader from seeing an end too early.
    const readEnd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    if (!fstatSync(readEnd).isFIFO()) throw notMade(directory, `"${name}" is no pipe`);
    // By the descriptor: under the name there may be another pipe by now, which nobody reads.
    const writeEnd = openSync(`/proc/self/fd/${readEnd}`, constants.O_WRONLY);
    unlinkSync(path);
    return { readEnd, writeEnd };
  } catch (cause) {
    if (cause instanceof JacamarError) throw cause;
    throw notMade(directory, systemErrorCode(cause) ?? "unknown error", cause);
  }
}

/** Reads what is in the pipe now, at most `limitBytes`, without waiting for more. */
export function* drain(readEnd: number, limitBytes: number): Generator<Uint8Array> {
  let left = limitBytes;
  while (left > 0) {
    const chunk = Buffer.allocUnsafe(Math.min(left, 64 * 1024));
    let length: number;
    try {
      length = readSync(readEnd, chunk, 0, chunk.length, null);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EAGAIN") return;
      throw error;
    }
    if (length === 0) return;
    left -= length;
    yield chunk.subarray(0, length);
  }
}

/** Closes an end; one that is closed already is fine. */
export function closeEnd(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // Closed before: nothing to do.
  }
}
