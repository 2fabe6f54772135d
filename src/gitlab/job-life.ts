import { hostname } from "node:os";
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
  const deadline = Math.ceil(Date.now() / 1000 + limit);
  const life = `${ownHost()}/${process.ppid}/${startTimeOf(process.ppid) ?? "0"}/${deadline}`;
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
  return host !== ownHost() || startTimeOf(Number(pid)) === startTime;
}

function ownHost(): string {
  return (
    hostname()
      .replaceAll(/[^A-Za-z0-9_.-]/g, "_")
      .slice(0, 64) || "_"
  );
}
