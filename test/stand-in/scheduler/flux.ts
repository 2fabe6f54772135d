import type { Manner } from "./cluster.ts";
import { attach, cancel, jobs, job } from "./flux-queue.ts";
import { alloc, batch, proxy, run, submit } from "./flux-submit.ts";
import { f58Of } from "./flux-words.ts";
import type { FrontEnd, Program } from "./front-end.ts";

/**
 * What Flux 0.88 was seen to do, and what its manual and sources say. A batch job is an instance of Flux of its own: its broker
 * gets what is sent to the job, and sends SIGHUP to the process group of the script.
 */
const manner: Manner = {
  endBy: [
    { signals: ["SIGHUP"], to: "group" },
    { signals: ["SIGKILL"], to: "all" },
  ],

  environment(job) {
    const gpus = [...Array(job.spec.gpus).keys()].join(",");
    return {
      FLUX_URI: `local:///run/flux/stand-in/job-${job.number}/local-0`,
      FLUX_ENCLOSING_ID: f58Of(job, "ƒ"),
      ...(gpus === "" ? { CUDA_VISIBLE_DEVICES: "-1" } : { CUDA_VISIBLE_DEVICES: gpus }),
    };
  },

  lastWords(job, cause) {
    const type = cause === "time-limit" ? "timeout" : cause === "node-failure" ? "node-failure" : "cancel";
    return `[  0.1] flux-shell[0]: FATAL: job.exception ${f58Of(job, "ƒ")} type=${type} severity=0\n`;
  },

  heading: () => "",

  report(job) {
    const code = job.end?.exitCode ?? 0;
    return code === 0 ? "" : `broker.err[0]: rc2.0: ${job.spec.name} Exited (rc=${code}) 0.1s\n`;
  },

  expandPath(path, job) {
    return path.replaceAll(/\{\{(?:id|jobid)\}\}/g, f58Of(job, "ƒ"));
  },
};

/** flux(1): its first argument is the program. */
const flux: Program = (call, cluster) => {
  const [name = "", ...args] = call.args;
  const program = Object.hasOwn(programs, name) ? programs[name] : undefined;
  if (program === undefined) {
    call.err(`flux: \`${name}' is not a flux command.  See 'flux --help'\n`);
    return 1;
  }
  return program({ ...call, program: `flux-${name}`, args }, cluster);
};

const programs: Readonly<Record<string, Program>> = {
  alloc,
  attach,
  batch,
  cancel,
  getattr: (call, cluster) => {
    call.out(`${call.args[0] === "hostlist" ? cluster.nodeName : "1"}\n`);
    return 0;
  },
  job,
  jobs,
  proxy,
  run,
  submit,
};

const frontEnd: FrontEnd = { manner, programs: { flux } };
export { frontEnd as flux };
