/** The reason of a stop that comes because the runner is gone: nobody will call cleanup. */
export const orphaned = "orphaned";

const orphanLookMilliseconds = 2000;

/** How a signal that ends a stage finds out whether anybody is left to call cleanup. */
const lookouts = new WeakMap<AbortSignal, () => boolean | Promise<boolean>>();

/**
 * Whether the runner is gone, of a signal that has fired: also when it fired for another reason first. When the runner of a service of
 * systemd's is killed, all that it has started gets SIGTERM at once; and a runner that ends may not wait for its stages.
 */
export async function isLeftAlone(stop: AbortSignal): Promise<boolean> {
  return stop.reason === orphaned || ((await lookouts.get(stop)?.()) ?? false);
}

/** Says how {@link isLeftAlone} finds it out for a signal. */
export function lookOut(stop: AbortSignal, isAlone: () => boolean | Promise<boolean>): void {
  lookouts.set(stop, isAlone);
}

/**
 * Fires when the runner wants this stage to end (facts/gitlab-runner.md, 1.9): SIGTERM from the runner; SIGINT and SIGHUP
 * from a terminal; or the runner is gone. From then on these signals no longer end this process: what it started must be ended first.
 */
export function listenForStop(): AbortSignal {
  const controller = new AbortController();
  const parent = process.ppid;
  lookOut(controller.signal, () => process.ppid !== parent);
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
