import { writeSync } from "node:fs";

/** 1 is the job log's standard output, 2 its standard error. */
export type Stream = 1 | 2;

const retryMilliseconds = 2;
const newline = 10;
/** The last byte of each stream. */
const last: Record<Stream, number> = { 1: newline, 2: newline };

/** Whether what is written next begins a line: a script's output may end inside one. */
export function atLineStart(stream: Stream): boolean {
  return last[stream] === newline;
}

/**
 * Writes all bytes to our own standard output or error before it returns, so that none is lost however we end.
 * Returns false when nobody reads any more: the runner is gone, and what is left to do is to clean up.
 */
export function writeWhole(stream: Stream, bytes: Uint8Array): boolean {
  last[stream] = bytes.at(-1) ?? last[stream];
  let offset = 0;
  while (offset < bytes.length) {
    try {
      offset += writeSync(stream, bytes, offset);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code !== "EAGAIN") return false;
      // The other end made the pipe non-blocking and is slow. There is nothing else to do than to wait for it.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryMilliseconds);
    }
  }
  return true;
}
