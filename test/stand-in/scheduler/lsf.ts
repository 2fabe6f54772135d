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

  // The report by mail, which stands in the output file where there is one.
  heading(job) {
    if (job.end?.ran !== true) return "";
    const code = exitCodeOf(job);
    const reason = exitReasonOf(job);
    const rule = "-".repeat(60);
    return [
      "Sender: LSF System <lsfadmin@node1>",
      `Subject: Job ${job.number}: <${job.spec.name}> in cluster <stand-in> ${code === 0 ? "Done" : "Exited"}`,
      "",
      `Job <${job.spec.name}> was submitted from host <login1> by user <${job.spec.userName}> in cluster <stand-in>`,
      `Job was executed on host(s) <node1>, in queue <${job.spec.queue}>, as user <${job.spec.userName}>`,
      "",
      "Your job looked like:",
      "",
      rule,
      "# LSBATCH: User input",
      job.spec.script?.split("\n").slice(1).join("\n").trim() ?? "",
      rule,
      "",
      ...(reason === "" ? [] : [`${reason}.`]),
      code === 0 ? "Successfully completed." : `Exited with exit code ${code}.`,
      "",
      "Resource usage summary:",
      "",
      "    CPU time :                                   0.01 sec.",
      "",
      "The output (if any) follows:",
      "",
      "",
    ].join("\n");
  },

  report: () => "",

  expandPath: (path, job) => path.replaceAll("%J", String(job.number)).replaceAll("%I", "0"),
};

export const lsf: FrontEnd = { manner, programs: { bsub, bjobs, bkill } };
