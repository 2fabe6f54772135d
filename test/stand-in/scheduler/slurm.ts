import type { Manner } from "./cluster.ts";
import type { FrontEnd } from "./front-end.ts";
import { localTime } from "./front-end.ts";
import type { Cause, Job } from "./job.ts";
import { salloc, srun } from "./slurm-allocations.ts";
import { sacct, scancel, scontrol, squeue } from "./slurm-queue.ts";
import { sbatch } from "./slurm-submit.ts";

/** What Slurm 22.05.8 was seen to do, without accounting. */
const manner: Manner = {
  endBy: [
    { signals: ["SIGCONT", "SIGTERM"], to: "all" },
    { signals: ["SIGKILL"], to: "all" },
  ],

  environment(job, nodeName) {
    const gpus = [...Array(job.spec.gpus).keys()].join(",");
    const granted = gpus === "" ? {} : { SLURM_JOB_GPUS: gpus, CUDA_VISIBLE_DEVICES: gpus, ROCR_VISIBLE_DEVICES: gpus };
    return {
      SLURM_CLUSTER_NAME: "stand-in",
      SLURM_JOBID: String(job.number),
      SLURM_JOB_ID: String(job.number),
      SLURM_JOB_NAME: job.spec.name,
      SLURM_JOB_NODELIST: nodeName,
      SLURM_NODELIST: nodeName,
      SLURMD_NODENAME: nodeName,
      SLURM_JOB_PARTITION: job.spec.queue,
      SLURM_JOB_USER: job.spec.userName,
      SLURM_SUBMIT_DIR: job.spec.workingDirectory,
      SLURM_CPUS_ON_NODE: "1",
      ENVIRONMENT: "BATCH",
      ...granted,
    };
  },

  lastWords(job, cause, nodeName) {
    const prefix = `slurmstepd-${nodeName}: error: `;
    if (cause === "memory-limit") {
      return `${prefix}Detected 1 oom-kill event(s) in StepId=${job.number}.batch. Some of your processes may have been killed by the cgroup out-of-memory handler.\n`;
    }
    return `${prefix}*** JOB ${job.number} ON ${nodeName} CANCELLED AT ${localTime(Date.now())}${whyEnded[cause] ?? ""} ***\n`;
  },

  heading: () => "",

  report: () => "",

  expandPath(path, job) {
    return path.replaceAll(/%(%|j|A|x|u|N)/g, (_, letter: string) => replacement(letter, job));
  },
};

const whyEnded: Readonly<Partial<Record<Cause, string>>> = {
  "time-limit": " DUE TO TIME LIMIT",
  "node-failure": " DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS",
  preempted: " DUE TO PREEMPTION",
  requeued: " DUE TO JOB REQUEUE",
};

function replacement(letter: string, job: Job): string {
  const values: Readonly<Record<string, string>> = {
    "%": "%",
    j: String(job.number),
    A: String(job.number),
    x: job.spec.name,
    u: job.spec.userName,
    N: "node1",
  };
  return values[letter] ?? "";
}

export const slurm: FrontEnd = { manner, programs: { sbatch, squeue, scancel, scontrol, sacct, srun, salloc } };
