import { hostname } from "node:os";
import { systemErrorCode } from "../error/error.ts";
import { startTimeOf } from "../process/job-processes.ts";

/**
 * What tells whether a job can still be alive, for whoever finds what it has left: it ends with GitLab Runner's process, and
 * no later than GitLab allows. It is one word of text, so that a label and a file can hold it.
 */
export type JobLife = string & { readonly __brand: "JobLife" };

/** A job that is late, or an archive that is uploaded, may take that much longer than GitLab's limit. */
const slackSeconds = 3600;
const withoutLimitSeconds = 7 * 24 * 3600;

/**
 * The life of a job that begins now, for the config stage alone: there the parent of this process is GitLab Runner.
 *
 * @param timeoutSeconds GitLab's limit for the job; 0 when the runner did not say.
 */
export function newJobLife(timeoutSeconds: number): JobLife {
  const limit = timeoutSeconds > 0 ? timeoutSeconds + slackSeconds : withoutLimitSeconds;
  return lifeOf(process.ppid, limit);
}

/** The life of what ends with a process, and after so many seconds at the latest. */
export function lifeOf(pid: number, seconds: number): JobLife {
  const deadline = Math.ceil(Date.now() / 1000 + seconds);
  const life = `${ownHost()}/${pid}/${startTimeOf(pid) ?? "0"}/${deadline}`;
  if (!isJobLife(life)) throw new Error(`the life of a job has another form: ${life}`);
  return life;
}

/** Whether a text is the life of a job. */
export function isJobLife(text: unknown): text is JobLife {
  return typeof text === "string" && /^[A-Za-z0-9_.-]{1,64}\/[0-9]{1,10}\/[0-9]{1,20}\/[0-9]{1,12}$/.test(text);
}

/**
 * Whether the job can still be alive. On another machine nobody can see its runner, so there it lives until its deadline.
 *
 * @param nowSeconds since 1970.
 */
export function canBeAlive(life: JobLife, nowSeconds: number): boolean {
  const [host, pid, startTime, deadline] = life.split("/");
  if (Number(deadline) <= nowSeconds) return false;
  if (host !== ownHost()) return true;
  const seen = startTimeOf(Number(pid));
  // Where /proc is mounted with hidepid, a user does not see the processes of others there.
  return seen === undefined ? exists(Number(pid)) : seen === startTime;
}

/** Whether two jobs are, or were, of the same process of GitLab Runner. */
export function isSameRunner(one: JobLife, other: JobLife): boolean {
  return withoutDeadline(one) === withoutDeadline(other);
}

function withoutDeadline(life: JobLife): string {
  return life.slice(0, life.lastIndexOf("/"));
}

/** A signal that is none reaches also what cannot be seen. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== "ESRCH";
  }
}

function ownHost(): string {
  return (
    hostname()
      .replaceAll(/[^A-Za-z0-9_.-]/g, "_")
      .slice(0, 64) || "_"
  );
}
