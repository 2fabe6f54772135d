import { readdirSync, readFileSync } from "node:fs";
import type { TestJob } from "../../harness/job.ts";
import { asUser, type User } from "../../harness/machine.ts";
import { filesBelow, processesOf } from "../../harness/snapshot.ts";

/**
 * All that is left of one job: processes (on the host and in containers), containers, and files of the job's own. Other
 * jobs of the same user may run meanwhile. Podman's own process, which serves all of a user's containers, is none.
 */
export async function tracesOf(job: TestJob, user: User, dataDir: string): Promise<string[]> {
  const marks = marksOf(job);
  const processes = processesOfJob(job, user).map(({ pid, command }) => `process ${pid} ${command}`);
  const containers = await asUser(user, ["podman", "ps", "--all", "--format", "{{.ID}} {{.Names}} {{.Labels}}"]);
  const ours = containers.stdout.split("\n").filter((line) => line.includes(`${job.id}-`));
  // The directories alone tell it.
  const files = filesBelow(`${dataDir}/scripts`).filter((path) =>
    marks.some((mark) => path.replace(/\/$/, "").endsWith(mark.replace(/\/$/, ""))),
  );
  return [...processes, ...ours.map((line) => `container ${line}`), ...files];
}

/** What stands on the command line or in the environment of a job's processes, or in its files' paths. */
function marksOf(job: TestJob): string[] {
  return [job.token, `jacamar-ci-${job.id}-`, `/${job.id}/`, `/${job.id}.private`];
}

/** The living processes of a job, the driver's own among them, with the beginning of their command lines. */
export function processesOfJob(job: TestJob, user: User): { pid: number; command: string }[] {
  const marks = marksOf(job);
  return processesOf(user).flatMap((line) => {
    const [pid = "", , ...command] = line.split(" ");
    // Podman's own process serves all containers of a user.
    if (/^\S*catatonit -P$/.test(command.join(" "))) return [];
    const text = everythingOf(pid);
    return marks.some((mark) => text.includes(mark)) ? [{ pid: Number(pid), command: command.join(" ") }] : [];
  });
}

/**
 * What Podman itself has started for a container: its monitor, which ends when the container is gone, and what that calls then. Whoever
 * removes the container does not wait for them.
 */
const podmansOwn = /^process \d+ (?:\S*\/)?(?:conmon |podman .* container cleanup )/;
const podmansSeconds = 20;

/** Waits until nothing is left of the job, at most that long, and returns what then is. */
export async function tracesAfter(job: TestJob, user: User, dataDir: string, seconds = 5): Promise<string[]> {
  const begin = performance.now();
  for (;;) {
    const traces = await tracesOf(job, user, dataDir);
    const patience = traces.every((trace) => podmansOwn.test(trace)) ? Math.max(seconds, podmansSeconds) : seconds;
    if (traces.length === 0 || performance.now() > begin + patience * 1000) return traces;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The numbers of all processes whose command line or environment holds the text. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && everythingOf(name).includes(text))
    .map(Number);
}

/** Command line and environment of a process, as far as we may read them. */
function everythingOf(pid: string): string {
  return ["cmdline", "environ"].map((name) => readOf(`/proc/${pid}/${name}`)).join("\0");
}

function readOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
