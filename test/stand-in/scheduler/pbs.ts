import { writeFileSync } from "node:fs";
import type { Manner } from "./cluster.ts";
import type { FrontEnd } from "./front-end.ts";
import type { Job } from "./job.ts";
import { qdel, qselect, qsig, qstat } from "./pbs-queue.ts";
import { qsub } from "./pbs-submit.ts";
import { idOf } from "./pbs-words.ts";

/** OpenPBS 23, by its manual pages and sources. */
const manner: Manner = {
  endBy: [
    { signals: ["SIGTERM"], to: "all" },
    { signals: ["SIGKILL"], to: "all" },
  ],

  environment(job, nodeName) {
    const gpus = [...Array(job.spec.gpus).keys()].join(",");
    return {
      PBS_ENVIRONMENT: "PBS_BATCH",
      PBS_JOBID: idOf(job),
      PBS_JOBNAME: job.spec.name,
      PBS_QUEUE: job.spec.queue,
      PBS_NODENUM: "0",
      PBS_O_HOST: nodeName,
      NCPUS: "1",
      PBS_NODEFILE: nodeFile(job, nodeName),
      // As the hook for cgroups sets it.
      ...(gpus === "" ? {} : { CUDA_VISIBLE_DEVICES: gpus }),
    };
  },

  lastWords: (job, cause) =>
    cause === "time-limit"
      ? `=>> PBS: job killed: walltime ${job.spec.timeLimitSeconds ?? 0} exceeded limit ${job.spec.timeLimitSeconds ?? 0}\n`
      : "",

  heading: () => "",

  report: () => "",

  expandPath: (path, job) => path.replaceAll("^array_index^", "").replaceAll("%J", idOf(job)),
};

/** On the job's first node, a file with a line for each of its chunks. */
function nodeFile(job: Job, nodeName: string): string {
  const path = `${job.spec.environment["JACAMAR_STAND_IN"] ?? "/tmp"}/spool/${job.number}.nodes`;
  writeFileSync(path, `${nodeName}\n${nodeName}\n`);
  return path;
}

export const pbs: FrontEnd = { manner, programs: { qsub, qstat, qdel, qsig, qselect } };
