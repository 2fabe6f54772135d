import { lstatSync, mkdirSync, rmdirSync } from "node:fs";
import { systemErrorCode } from "../error/error.ts";

/** A lock that is older was left by a process that has been killed: what is done under one takes milliseconds. */
const staleMilliseconds = 60_000;
const lookMilliseconds = 5;

/**
 * Does something that only one process may do at a time, and returns whether it was done: it is not when the lock, a
 * directory, is not to be had within `waitMilliseconds`. Node.js has no locks of the system's. Throws what `work` throws.
 */
export function withLock(lock: string, waitMilliseconds: number, work: () => void): boolean {
  const deadline = performance.now() + waitMilliseconds;
  while (!take(lock)) {
    if (performance.now() >= deadline) return false;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lookMilliseconds);
  }
  try {
    work();
    return true;
  } finally {
    remove(lock);
  }
}

function take(lock: string): boolean {
  try {
    mkdirSync(lock, 0o700);
    return true;
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
  }
  const made = lstatSync(lock, { throwIfNoEntry: false })?.mtimeMs;
  if (made !== undefined && Date.now() - made > staleMilliseconds) remove(lock);
  return false;
}

function remove(lock: string): void {
  try {
    rmdirSync(lock);
  } catch {
    // Somebody took it for stale.
  }
}
