import { isAbsolute, join } from "node:path";

/** A system call, as `strace -f -y --decode-pids=pidns` tells it, in the order in which the calls began. */
export interface Call {
  readonly index: number;
  /** The thread that called. */
  readonly pid: number;
  /** The process whose thread it is, where a `clone` said so; else the thread itself. */
  readonly thread: number;
  /** Whether the process, or one that it comes from, had become the user of the trace by then. */
  readonly isUsers: boolean;
  readonly name: string;
  /** The whole call, `name(arguments) = result`. */
  readonly line: string;
  /** `EACCES` and the like; undefined when it succeeded. */
  readonly error: string | undefined;
  /** All paths that it names, absolute: its texts, and what its descriptors lead to. */
  readonly paths: readonly string[];
}

/**
 * Reads the output of strace; what was interrupted by another thread's call is put together again.
 *
 * @param uid of the user of the trace.
 */
export function readTrace(text: string, uid: number): Call[] {
  const begun: { pid: number; line: string }[] = [];
  const open = new Map<number, { pid: number; line: string }>();
  for (const raw of text.split("\n")) {
    const [, pidText = "", line = ""] = /^(\d+)\s+(.*)$/.exec(raw) ?? [];
    const pid = Number(pidText);
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(line);
    const unfinished = /^(.*?)\s*<unfinished \.\.\.>$/.exec(line);
    if (resumed) {
      const call = open.get(pid);
      if (call) call.line += resumed[1] ?? "";
      open.delete(pid);
    } else if (/^\w+\(/.test(line)) {
      const call = { pid, line: unfinished?.[1] ?? line };
      begun.push(call);
      if (unfinished) open.set(pid, call);
    }
  }
  const leaders = new Map<number, number>();
  for (const { pid, line } of begun) {
    const created = /^clone3?\(.*CLONE_THREAD/.test(line) ? createdBy(line) : undefined;
    if (created !== undefined) leaders.set(created, leaders.get(pid) ?? pid);
  }
  const descriptors = new Map<string, string>();
  const through = new Set<number>();
  return begun.map(({ pid, line }, index) => {
    const thread = leaders.get(pid) ?? pid;
    const name = /^\w+/.exec(line)?.[0] ?? "";
    const paths = pathsOf(name, line).map((path) =>
      path.replace(/^\/proc\/self\/fd\/(\d+)/, (whole, number) => descriptors.get(`${thread} ${number}`) ?? whole),
    );
    const [, opened, target] = /\) += (\d+)<([^>]*)>$/.exec(line) ?? [];
    if (opened !== undefined && target !== undefined) descriptors.set(`${thread} ${opened}`, target);
    const isUsers = through.has(thread);
    const child = /^(?:clone3?|v?fork)\((?!.*CLONE_THREAD)/.test(line) ? createdBy(line) : undefined;
    if (isUsers && child !== undefined) through.add(child);
    // The C library lets each thread do it; the process is the user when its own has.
    if (pid === thread && becomes(line, uid)) through.add(thread);
    return { index, pid, thread, isUsers, name, line, error: /\) += -1 (E[A-Z]+)/.exec(line)?.[1], paths };
  });
}

/** The process or thread that a call has made, by the number that strace gives it: a container has numbers of its own. */
function createdBy(line: string): number | undefined {
  const [, own, ours] = / = (\d+)(?: \/\* (\d+) in strace's PID NS \*\/)?$/.exec(line) ?? [];
  const created = ours ?? own;
  return created === undefined ? undefined : Number(created);
}

/** Whether a call makes somebody the user. */
export function becomes(line: string, uid: number): boolean {
  return (
    new RegExp(`^set(?:uid|reuid|resuid)\\((?:${uid}|-1)(?:, (?:${uid}|-1))*\\) += 0`).test(line) &&
    line.includes(`${uid}`)
  );
}

function pathsOf(name: string, line: string): string[] {
  // What is written, sent, or given to a program may hold any text.
  const isText = name === "write" || name === "sendto";
  const told = isText ? line.replace(/, ".*$/, "") : name === "execve" ? line.replace(/, \[.*$/, "") : line;
  const paths: string[] = [];
  let directory = "";
  for (const [, held, text] of told.matchAll(/(?:\d+|AT_FDCWD)<([^>]*)>|"((?:[^"\\]|\\.)*)"/g)) {
    if (text !== undefined) paths.push(isAbsolute(text) ? text : join(directory, text));
    else if (held !== undefined) directory = held;
    // The working directory itself is not touched by a call that names another one.
    if (held !== undefined && !told.includes(`AT_FDCWD<${held}>`)) paths.push(held);
  }
  return paths;
}
