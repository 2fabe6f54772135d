import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { pause } from "../process/signals.ts";

const lookMilliseconds = 20;
const mostLooks = 50;

/** A directory of the account's for what a look makes. Throws Node's error when none can be made. */
export function makeScratch(): string {
  return mkdtempSync("/tmp/jacamar-doctor-");
}

/**
 * Removes the directory and ends what works in it: the process that Podman leaves for its next call, and the Podman that
 * cleans up after a container, which is started by the container's end and would make the directory anew.
 */
export async function removeScratch(directory: string): Promise<void> {
  endPauseProcess(directory);
  for (let look = 0; look < mostLooks && processesWith(directory).length > 0; look += 1) await pause(lookMilliseconds);
  for (const pid of processesWith(directory)) kill(pid);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
}

function endPauseProcess(directory: string): void {
  try {
    kill(Number(readFileSync(`${directory}/libpod/tmp/pause.pid`, "utf8")));
  } catch {
    // There is none.
  }
}

/** The processes that name the directory on their command line, but for ourselves. */
function processesWith(directory: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(directory) ? [Number(name)] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

function kill(pid: number): void {
  try {
    if (pid > 1) process.kill(pid, "SIGKILL");
  } catch {
    // It has ended, or is not ours.
  }
}
