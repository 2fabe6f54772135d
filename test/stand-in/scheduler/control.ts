import { defaultSettings } from "./cluster.ts";
import type { Program } from "./front-end.ts";
import type { Cause, Job } from "./job.ts";

/** What befalls a job. */
const causes: Readonly<Record<string, Cause>> = {
  cancel: "cancelled",
  memory: "memory-limit",
  "node-fail": "node-failure",
  preempt: "preempted",
  requeue: "requeued",
  "time-limit": "time-limit",
};

/**
 * `stand-in VERB`: what no user could do, for tests.
 *
 * - `set KEY VALUE`: see `Settings`
 * - `jobs`: one line of JSON for each job: number, name, state, process id of its script
 * - `cancel|memory|node-fail|preempt|requeue|time-limit NUMBER`: what happens to the job of that number in the order of submission
 * - `suspend|resume NUMBER`, `release NUMBER`
 * - `forget NUMBER`: the controller denies to know it; it goes on
 */
export const control: Program = (call, cluster) => {
  const [verb = "", first = "", second = ""] = call.args;
  if (verb === "jobs") {
    for (const { number, spec, state, child, restarts } of cluster.jobs) {
      call.out(`${JSON.stringify({ number, name: spec.name, state, pid: child?.pid, restarts })}\n`);
    }
    return 0;
  }
  if (verb === "set") {
    if (!Object.hasOwn(defaultSettings, first)) {
      call.err(`stand-in: there is no setting ${first}\n`);
      return 2;
    }
    const isNumber = /Milliseconds$|Seconds$|^slots$/.test(first);
    Object.assign(cluster.settings, { [first]: isNumber ? Number(second) : second });
    return 0;
  }
  const job: Job | undefined = cluster.jobs[Number(first) - 1];
  const cause = Object.hasOwn(causes, verb) ? causes[verb] : undefined;
  if (job === undefined) {
    call.err(`stand-in: there is no job ${first}\n`);
    return 2;
  }
  if (cause !== undefined) cluster.end(job, cause);
  else if (verb === "forget") job.forgotten = true;
  else if (verb === "release") job.held = undefined;
  else if (verb === "suspend" || verb === "resume") {
    job.suspended = verb === "suspend";
    cluster.signal(job, job.suspended ? "SIGSTOP" : "SIGCONT", "all");
  } else {
    call.err(`stand-in: unknown verb ${verb}\n`);
    return 2;
  }
  return 0;
};
