import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { asUser, type StartOptions, type User } from "./machine.ts";

/** All that a job of a user's could leave behind, as lines that can be compared. */
export interface Snapshot {
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
  /** Everything that runs with a user id of the user's or of the user's subordinate range, thus in containers too. */
  readonly processes: readonly string[];
  /** Paths below the directories asked for, with a sign for what they are (`/` directory, `@` link). */
  readonly files: readonly string[];
}

/**
 * Looks at what exists for a user. `directories` need not exist. `podman` is the environment for the Podman calls, which
 * must be the one of the jobs when those have a store of their own.
 *
 * The Podman calls come first, so that the process that Podman leaves running for its next call (`catatonit -P`) is in the
 * first snapshot already.
 *
 * @throws when Podman fails, with its words
 */
export async function snapshot(
  user: User,
  directories: readonly string[] = [],
  podman: StartOptions = {},
): Promise<Snapshot> {
  const containers = await lines(user, ["ps", "--all", "--format", "{{.ID}} {{.Names}} {{.Image}}"], podman);
  const volumes = await lines(user, ["volume", "ls", "--format", "{{.Name}}"], podman);
  return { containers, volumes, processes: processesOf(user), files: directories.flatMap((path) => filesBelow(path)) };
}

/** What came and what went between two snapshots, one line each (`+ container …`, `- file …`); empty when nothing did. */
export function difference(before: Snapshot, after: Snapshot): string[] {
  const kinds = { containers: "container", volumes: "volume", processes: "process", files: "file" } as const;
  const changes: string[] = [];
  for (const kind of ["containers", "volumes", "processes", "files"] as const) {
    const [was, is] = [new Set(before[kind]), new Set(after[kind])];
    for (const line of is) if (!was.has(line)) changes.push(`+ ${kinds[kind]} ${line}`);
    for (const line of was) if (!is.has(line)) changes.push(`- ${kinds[kind]} ${line}`);
  }
  return changes;
}

async function lines(user: User, argv: readonly string[], options: StartOptions): Promise<string[]> {
  const ended = await asUser(user, ["podman", ...argv], options);
  if (ended.exitCode !== 0) throw new Error(`Cannot look with podman ${argv.join(" ")}: ${ended.stderr}`);
  return ended.stdout.split("\n").filter((line) => line !== "");
}

/**
 * The processes of the user and of the user's containers, as `pid start-time command line` (cut short): a process id
 * alone is given again. Zombies, ourselves and what started us do not count.
 */
export function processesOf(user: User): string[] {
  const ranges = [{ first: user.uid, count: 1 }, ...subordinateIds(user)];
  const ours = ancestors();
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const status = read(`/proc/${pid}/status`);
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN);
    if (!ranges.some(({ first, count }) => uid >= first && uid < first + count)) continue;
    if (/^State:\s+[ZX]/m.test(status) || ours.has(Number(pid))) continue;
    const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim().slice(0, 160);
    // The name in parentheses may hold anything; after it, start time is the 20th field (proc_pid_stat(5): field 22).
    const stat = read(`/proc/${pid}/stat`);
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "?";
    found.push(`${pid} ${startTime} ${command}`);
  }
  return found;
}

function subordinateIds(user: User): { first: number; count: number }[] {
  return read("/etc/subuid")
    .split("\n")
    .map((line) => line.split(":"))
    .filter(([owner]) => owner === user.name || owner === String(user.uid))
    .map(([, first, count]) => ({ first: Number(first), count: Number(count) }));
}

function ancestors(): Set<number> {
  const found = new Set<number>();
  for (let pid = process.pid; pid > 1 && !found.has(pid); ) {
    found.add(pid);
    pid = Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
  }
  return found;
}

/** A process may end while it is looked at. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Every path below a directory, sorted; a directory that cannot be read says so, and one that is not there is empty. */
export function filesBelow(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory).toSorted();
  } catch (error) {
    const gone = error instanceof Error && "code" in error && error.code === "ENOENT";
    return gone ? [] : [`${directory}/ (unreadable)`];
  }
  return names.flatMap((name) => {
    const path = join(directory, name);
    const entry = lstatSync(path, { throwIfNoEntry: false });
    if (entry === undefined) return [];
    if (entry.isDirectory()) return [`${path}/`, ...filesBelow(path)];
    return [entry.isSymbolicLink() ? `${path}@` : path];
  });
}
