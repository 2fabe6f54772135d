import type { Manner } from "./cluster.ts";
import type { FrontEnd } from "./front-end.ts";
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
      // As the hook for cgroups sets it.
      ...(gpus === "" ? {} : { CUDA_VISIBLE_DEVICES: gpus }),
    };
  },

  lastWords: (job, cause) =>
    cause === "time-limit"
      ? `=>> PBS: job killed: walltime ${job.spec.timeLimitSeconds ?? 0} exceeded limit ${job.spec.timeLimitSeconds ?? 0}\n`
      : "",

  report: () => "",

  expandPath: (path, job) => path.replaceAll("^array_index^", "").replaceAll("%J", idOf(job)),
};

export const pbs: FrontEnd = { manner, programs: { qsub, qstat, qdel, qsig, qselect } };
