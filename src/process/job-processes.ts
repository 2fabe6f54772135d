import { readdirSync, readFileSync, statSync } from "node:fs";
import { pause } from "./signals.ts";

/** What tells a job's processes from all others of its user. */
export interface JobMarks {
  readonly uid: number;
  /** The job's own: one of them stands on the command line of every shell and client that the driver starts. */
  readonly directories: readonly string[];
  /** The job's token, which the runner's scripts export to every program that they start. Unique to the job. */
  readonly token: string;
  /** Sessions that are known to be the job's. */
  readonly sessions: readonly number[];
}

interface ProcessEntry {
  readonly pid: number;
  readonly group: number;
  readonly session: number;
  readonly marked: boolean;
}

/**
 * Finds the living processes of a job from the system's process table alone, so that it also works when the driver
 * that started them was killed: those that carry a mark, and all that share a session with one that does, unless a
 * process without a mark leads it: that is a user's who looks at the job's files in a terminal. This process and its
 * ancestors are never among them.
 */
export function findJobProcesses(marks: JobMarks): number[] {
  return look(marks).pids;
}

/** What a look at the process table has found. */
interface Look {
  readonly pids: number[];
  /** Sessions that are the job's. */
  readonly sessions: ReadonlySet<number>;
  /** To whom a signal goes that each of them is to get once: process groups of these sessions, as negative numbers, and single processes. */
  readonly targets: ReadonlySet<number>;
}

function look(marks: JobMarks): Look {
  const spared = ancestors(process.pid);
  const entries = new Map<number, ProcessEntry>();
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    const pid = Number(name);
    if (spared.has(pid)) continue;
    const entry = readEntry(pid, marks);
    if (entry === "everybody's") spared.add(pid);
    else if (entry) entries.set(pid, entry);
  }
  const sessions = new Set(marks.sessions);
  const ownSession = sessionOf(process.pid);
  for (const { marked, session } of entries.values()) {
    if (!marked || session === ownSession) continue;
    const leader = entries.get(session);
    if (leader ? leader.marked : sessionOf(session) === undefined) sessions.add(session);
  }
  const ofJob = [...entries.values()].filter(({ marked, session }) => marked || sessions.has(session));
  // As a rule a script has left nothing, and each stage looks.
  if (ofJob.length === 0) return { pids: [], sessions, targets: new Set() };
  const sparedGroups = new Set([...spared].map((pid) => groupOf(pid)));
  // Groups that no number of this process's own namespace names count as 0; 1 would mean everybody.
  const isWholeGroup = ({ group, session }: ProcessEntry) =>
    group > 1 && sessions.has(session) && !sparedGroups.has(group);
  const targets = new Set(ofJob.map((entry) => (isWholeGroup(entry) ? -entry.group : entry.pid)));
  return { pids: ofJob.map(({ pid }) => pid), sessions, targets };
}

/**
 * Finds a job's processes again and again while they end. What has been the job's stays so, also when all that carried a mark is gone, or
 * when the kernel is just exchanging the program of a process, which then has neither command line nor environment.
 */
class JobSearch {
  readonly #marks: JobMarks;
  /** When each process, and the leader of each session, began: a number can be given again. */
  readonly #processes = new Map<number, string | undefined>();
  readonly #sessions = new Map<number, string | undefined>();
  #targets: Iterable<number> = [];

  constructor(marks: JobMarks) {
    this.#marks = marks;
  }

  /** Those that live now. */
  find(): number[] {
    const sessions = [...this.#sessions].filter(([leader, began]) => [undefined, began].includes(startTimeOf(leader)));
    const found = look({ ...this.#marks, sessions: [...this.#marks.sessions, ...sessions.map(([leader]) => leader)] });
    const known = [...this.#processes].filter(
      ([pid, began]) => startTimeOf(pid) === began && typeof readEntry(pid, this.#marks) === "object",
    );
    const pids = new Set([...found.pids, ...known.map(([pid]) => pid)]);
    remember(this.#processes, pids);
    remember(this.#sessions, found.sessions);
    this.#targets = found.targets;
    return [...pids];
  }

  /**
   * Sends a signal to what the last look has found. The kernel gives it to a whole process group in one step, also to a process that is
   * being born: sent to one process after the other it would miss what a shell starts meanwhile, for which that shell then waits.
   */
  tellOnce(signal: NodeJS.Signals): void {
    for (const target of this.#targets) signalProcess(target, signal);
  }
}

function remember(known: Map<number, string | undefined>, pids: Iterable<number>): void {
  for (const pid of pids) if (!known.has(pid)) known.set(pid, startTimeOf(pid));
}

/**
 * Ends the job's processes: SIGTERM to all, SIGKILL to those that are left after `graceSeconds`. Returns how many there
 * were, and those that even then did not end (none, as a rule: a process that hangs in the kernel, or that changed its
 * user).
 */
export async function endJobProcesses(
  marks: JobMarks,
  graceSeconds: number,
): Promise<{ found: number; left: number[] }> {
  const search = new JobSearch(marks);
  let left = search.find();
  const found = left.length;
  search.tellOnce("SIGTERM");
  left = await waitUntilGone(search, left, graceSeconds, () => undefined);
  // Sent again on each look: a process may have been born between look and signal.
  left = await waitUntilGone(search, left, killSeconds, (pid) => signalProcess(pid, "SIGKILL"));
  return { found, left };
}

const killSeconds = 10;

async function waitUntilGone(
  search: JobSearch,
  first: readonly number[],
  seconds: number,
  onEach: (pid: number) => void,
): Promise<number[]> {
  const end = performance.now() + seconds * 1000;
  let left = [...first];
  let waitMilliseconds = 5;
  while (left.length > 0) {
    for (const pid of left) onEach(pid);
    if (performance.now() >= end) return left;
    await pause(Math.min(waitMilliseconds, Math.max(1, end - performance.now())));
    waitMilliseconds = Math.min(waitMilliseconds * 2, 250);
    left = search.find();
  }
  return left;
}

/** Sends a signal to a process. One that is gone, or not ours, is fine. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile, or no longer ours to signal; the caller looks again and reports what is left.
  }
}

function readEntry(pid: number, marks: JobMarks): ProcessEntry | "everybody's" | undefined {
  try {
    const owner = statSync(`/proc/${pid}`).uid;
    // What may not be traced (ssh-agent, programs with set-id bits) belongs to root there, whoever runs it (proc(5)).
    if (owner !== marks.uid && !(owner === 0 && realUser(pid) === marks.uid)) return undefined;
    const session = sessionOf(pid);
    if (session === undefined) return undefined;
    if (isPodmanPause(pid)) return "everybody's";
    return { pid, group: groupOf(pid), session, marked: isMarked(pid, marks) };
  } catch {
    return undefined;
  }
}

/**
 * Podman keeps one process for all containers of a user, and whichever job first called it has started it: it holds the user
 * namespace that the others join, so it is no job's.
 */
function isPodmanPause(pid: number): boolean {
  const [program = "", option] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return program === "podman pause" || (/(?:^|\/)catatonit$/.test(program) && option === "-P");
}

/** When a process started, in the system's own unit; undefined when it is gone. Tells it from a later one of the same number. */
export function startTimeOf(pid: number): string | undefined {
  return statFields(pid)?.[19];
}

function isMarked(pid: number, marks: JobMarks): boolean {
  const args = readFileSync(`/proc/${pid}/cmdline`, "utf8");
  if (marks.directories.some((directory) => args.includes(`${directory}/`))) return true;
  return marks.token !== "" && environmentOf(pid).includes(`\0CI_JOB_TOKEN=${marks.token}\0`);
}

/** Each variable between two NULs; nothing for a process that may not be traced. */
function environmentOf(pid: number): string {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, "utf8")}`;
  } catch {
    return "";
  }
}

function realUser(pid: number): number | undefined {
  const match = /^Uid:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return match ? Number(match[1]) : undefined;
}

/** Session of a process; undefined for one that is gone or only waits to be reaped. */
function sessionOf(pid: number): number | undefined {
  const fields = statFields(pid);
  return fields && fields[0] !== "Z" && fields[0] !== "X" ? Number(fields[3]) : undefined;
}

/** Process group of a process; that of its own number for one that is gone. */
function groupOf(pid: number): number {
  return Number(statFields(pid)?.[2] ?? pid);
}

/** The fields of /proc/PID/stat from the state on. The name before them may hold spaces and parentheses (proc(5)). */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** All processes that descend from one now. Whoever's parent has ended does not count: it has another one. */
export function descendantsOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = /^[0-9]+$/.test(name) ? Number(statFields(Number(name))?.[1]) : Number.NaN;
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [pid];
  for (const each of found) found.push(...(children.get(each) ?? []));
  return found.slice(1);
}

function ancestors(pid: number): Set<number> {
  const found = new Set<number>();
  let next = pid;
  while (next > 0 && !found.has(next)) {
    found.add(next);
    next = Number(statFields(next)?.[1] ?? 0);
  }
  return found;
}
