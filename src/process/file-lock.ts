import { closeSync, constants, fstatSync, openSync, statSync } from "node:fs";
import { capture } from "./capture.ts";

/** A lock that this process holds. */
export interface FileLock {
  /** Whoever inherits this descriptor holds the lock, too, and keeps it as long as it is open. */
  readonly descriptor: number;
  release(): void;
}

/** How it went. `unsupported`: nobody can lock files there, or the system has no flock(1). */
export type Locking =
  | { readonly kind: "held"; readonly lock: FileLock }
  | { readonly kind: "busy" }
  | { readonly kind: "unsupported" };

/** No wait is that long. Node's timers end at 24 days. */
const waitSeconds = 7 * 24 * 3600;

/** Exit code of flock(1) when somebody else has the lock. */
const busyCode = 1;

/**
 * Locks a file, which is made when it is missing, for this process alone, or for all who share it. Only who has it for
 * itself alone may remove it: who has waited for a file that was removed meanwhile starts again with the one that is there now.
 *
 * Node.js has no such call. flock(1) of util-linux locks the open file that it inherits and ends; the lock stays with the open
 * file, so it is this process's, and ends with it, however it ends. The file is open for writing because NFS makes a lock of
 * bytes of it (flock(2), "NFS details").
 *
 * @param wait until the lock is free, or until `stop` fires, which is told as `busy`.
 * Rejects with Node's error when the file cannot be opened.
 */
export async function lockFile(
  path: string,
  how: "exclusive" | "shared",
  wait: "wait" | "at-once",
  stop?: AbortSignal,
): Promise<Locking> {
  for (;;) {
    const locking = await lockThere(path, how, wait, stop);
    if (locking.kind !== "held" || isSameFile(locking.lock.descriptor, path)) return locking;
    locking.lock.release();
  }
}

function isSameFile(descriptor: number, path: string): boolean {
  const locked = fstatSync(descriptor);
  const there = statSync(path, { throwIfNoEntry: false });
  return there !== undefined && there.ino === locked.ino && there.dev === locked.dev;
}

async function lockThere(
  path: string,
  how: "exclusive" | "shared",
  wait: "wait" | "at-once",
  stop: AbortSignal | undefined,
): Promise<Locking> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const descriptor = openSync(path, flags, 0o600);
  let kept = false;
  try {
    const { ending } = await capture(
      {
        argv: ["flock", ...(wait === "wait" ? [] : ["--nonblock"]), `--${how}`, "3"],
        environment: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" },
        workingDirectory: "/",
      },
      { timeoutSeconds: waitSeconds, passOnDescriptor3: descriptor, ...(stop ? { stop } : {}) },
    );
    if ("signal" in ending || ending.exitCode === busyCode) return { kind: "busy" };
    if (ending.exitCode !== 0) return { kind: "unsupported" };
    kept = true;
    return { kind: "held", lock: new HeldLock(descriptor) };
  } catch {
    return { kind: "unsupported" };
  } finally {
    if (!kept) closeSync(descriptor);
  }
}

class HeldLock implements FileLock {
  readonly descriptor: number;
  #open = true;

  constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  release(): void {
    if (this.#open) closeSync(this.descriptor);
    this.#open = false;
  }
}
