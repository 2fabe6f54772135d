import { readdirSync, readFileSync } from "node:fs";

interface Entry {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
}

/**
 * The living processes of jobs that were started with these process ids, as Slurm's proctrack/linuxproc knows them: those of
 * their sessions, and all that descend from one of them.
 */
export function processesOf(roots: readonly number[]): number[] {
  const entries = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? (entryOf(Number(name)) ?? []) : []));
  const found = new Set<number>();
  let before = -1;
  while (found.size > before) {
    before = found.size;
    for (const { pid, parent, session } of entries) {
      if (roots.includes(pid) || roots.includes(session) || found.has(parent)) found.add(pid);
    }
  }
  return [...found];
}

function entryOf(pid: number): Entry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything.
    const [state, parent, , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" || state === "X") return undefined;
    return { pid, parent: Number(parent), session: Number(session) };
  } catch {
    return undefined;
  }
}

/** Sends a signal to each; one that is gone is fine. A negative number is a process group. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Gone.
    }
  }
}
