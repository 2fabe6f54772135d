import type { Manner } from "./cluster.ts";
import type { FrontEnd } from "./front-end.ts";
import { bjobs, bkill } from "./lsf-queue.ts";
import { bsub } from "./lsf-submit.ts";
import { exitCodeOf, exitReasonOf } from "./lsf-words.ts";

/** LSF 10.1, by its manual and by what its users report. */
const manner: Manner = {
  endBy: [
    { signals: ["SIGINT"], to: "all" },
    { signals: ["SIGTERM"], to: "all" },
    { signals: ["SIGKILL"], to: "all" },
  ],

  environment(job, nodeName) {
    const gpus = [...Array(job.spec.gpus).keys()].join(",");
    return {
      LSB_JOBID: String(job.number),
      LSB_JOBNAME: job.spec.name,
      LSB_QUEUE: job.spec.queue,
      LSB_HOSTS: nodeName,
      LSB_MCPU_HOSTS: `${nodeName} 1`,
      LSB_BATCH_JID: String(job.number),
      LSB_JOBINDEX: "0",
      LS_SUBCWD: job.spec.workingDirectory,
      ...(gpus === "" ? {} : { CUDA_VISIBLE_DEVICES: gpus }),
    };
  },

  lastWords: () => "",

  report(job) {
    if (job.end?.ran !== true) return "";
    const code = exitCodeOf(job);
    const reason = exitReasonOf(job);
    const how = code === 0 ? "Successfully completed." : `Exited with exit code ${code}.`;
    return [
      "",
      "------------------------------------------------------------",
      `Sender: LSF System <lsfadmin@node1>`,
      `Subject: Job ${job.number}: <${job.spec.name}> in cluster <stand-in> ${code === 0 ? "Done" : "Exited"}`,
      "",
      ...(reason === "" ? [] : [`${reason.replace(": ", ": ")}.`]),
      how,
      "",
    ].join("\n");
  },

  expandPath: (path, job) => path.replaceAll("%J", String(job.number)).replaceAll("%I", "0"),
};

export const lsf: FrontEnd = { manner, programs: { bsub, bjobs, bkill } };
