import { constants } from "node:os";
import { BadOption, readCommandLine } from "./command-line.ts";
import { leaveQueue, type Program } from "./front-end.ts";
import { describeJob, readSubmission, submitGrammar, valueOf } from "./slurm-submit.ts";

/** salloc(1), with `--no-shell` only. */
export const salloc: Program = async (call, cluster) => {
  const line = readSubmission(call);
  if (line === undefined) return 255;
  const described = describeJob(call, cluster, line, (words) =>
    call.err(`salloc: error: Job submit/allocate failed: ${words}\n`),
  );
  if (described === undefined) return 1;
  const name = valueOf(line, "job-name", "J") ?? "no-shell";
  const job = cluster.submit({ ...described, name, script: undefined, output: undefined, error: undefined });
  let said = false;
  const how = await leaveQueue(call, job, () => {
    if (job.reason === undefined || said) return;
    said = true;
    if (job.reason === "PartitionDown") call.err("salloc: Partition in DOWN state\n");
    call.err(`salloc: Pending job allocation ${job.number}\n`);
    call.err(`salloc: job ${job.number} queued and waiting for resources\n`);
  });
  if (how === "told") {
    cluster.end(job, "cancelled");
    call.err("salloc: Job aborted due to signal\n");
    return 1;
  }
  if (said) call.err(`salloc: job ${job.number} has been allocated resources\n`);
  call.err(`salloc: Granted job allocation ${job.number}\n`);
  return 0;
};

/** srun(1) in an allocation: by `--jobid`, or from within it. */
export const srun: Program = async (call, cluster) => {
  let line: ReturnType<typeof readCommandLine>;
  try {
    line = readCommandLine(call.args, {
      ...submitGrammar,
      long: {
        ...submitGrammar.long,
        jobid: true,
        overlap: false,
        "cpu-bind": true,
        label: false,
        mpi: true,
        pty: "optional",
        unbuffered: false,
      },
    });
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    call.err(`srun: unrecognized option '${error.word}'\nTry "srun --help" for more information\n`);
    return 255;
  }
  const id = valueOf(line, "jobid") ?? call.environment["SLURM_JOB_ID"] ?? "";
  const job = cluster.known.find(({ number }) => String(number) === id);
  const hint = `srun: Check SLURM_JOB_ID environment variable. Expired or invalid job ${id}\n`;
  if (job === undefined) {
    call.err(`srun: error: Unable to confirm allocation for job ${id}: Invalid job id specified\n${hint}`);
    return 1;
  }
  if (job.state === "ended" || job.state === "ending") {
    call.err(`srun: error: Slurm job ${id} has expired\n${hint}`);
    return 1;
  }
  await leaveQueue(call, job);
  let number = 0;
  const ended = await cluster.runStep(job, line.rest, {
    name: valueOf(line, "job-name", "J") ?? line.rest[0]?.split("/").at(-1) ?? "",
    environment: call.environment,
    workingDirectory: call.workingDirectory,
    onOutput: (stream, chunk) => (stream === "stdout" ? call.out(chunk) : call.err(chunk)),
    onStart: (kill, step) => {
      number = step;
      call.onSignal((signal) => {
        if (signal === "SIGINT") return call.err("srun: interrupt (one more within 1 sec to abort)\n");
        call.err("srun: forcing job termination\n");
        kill("SIGTERM");
        setTimeout(() => kill("SIGKILL"), 2000);
      });
    },
  });
  if (job.cause !== undefined) {
    call.err("srun: Job step aborted: Waiting up to 7 seconds for job step to finish.\n");
    call.err(`slurmstepd-${cluster.nodeName}: error: *** STEP ${id}.${number} ON ${cluster.nodeName} CANCELLED ***\n`);
  }
  if (ended.signal !== undefined) {
    const word = ended.signal === "SIGKILL" ? "Killed" : "Terminated";
    call.err(`srun: error: ${cluster.nodeName}: task 0: ${word}\n`);
    return 128 + constants.signals[ended.signal];
  }
  if (ended.exitCode !== 0) {
    call.err(`srun: error: ${cluster.nodeName}: task 0: Exited with exit code ${ended.exitCode}\n`);
  }
  return ended.exitCode;
};
