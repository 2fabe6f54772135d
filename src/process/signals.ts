/** The reason of a stop that comes because the runner is gone: nobody will call cleanup. */
export const orphaned = "orphaned";

const orphanLookMilliseconds = 2000;

/**
 * Fires when the runner wants this stage to end (facts/gitlab-runner.md, 1.9): SIGTERM from the runner; SIGINT and SIGHUP
 * from a terminal; or the runner is gone. From then on these signals no longer end this process: what it started must be ended first.
 */
export function listenForStop(): AbortSignal {
  const controller = new AbortController();
  const parent = process.ppid;
  // A runner that was killed sends no signal, calls no cleanup, and gives the job's directories to the next one.
  setInterval(() => {
    if (process.ppid !== parent) controller.abort(orphaned);
  }, orphanLookMilliseconds).unref();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => controller.abort(signal));
  }
  return controller.signal;
}

/** Resolves after that many milliseconds, or at once when the signal fires. */
export function pause(milliseconds: number, stop?: AbortSignal): Promise<void> {
  if (stop?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      stop?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    stop?.addEventListener("abort", finish, { once: true });
  });
}
