/** What a program says when its controller cannot be reached, and its exit code. */
export interface Away {
  readonly stderr: string;
  readonly exitCode: number;
}

/**
 * The words of each program. Slurm's were seen (22.05.8); Flux's and PBS's are from their sources; LSF's are from reports of
 * its users, who see a line every few seconds for as long as they wait.
 */
export function awayWords(program: string, args: readonly string[]): Away | "waits" {
  const slurm = "Unable to contact slurm controller (connect failure)";
  switch (program) {
    case "sbatch":
      return { stderr: `sbatch: error: Batch job submission failed: ${slurm}\n`, exitCode: 1 };
    case "squeue":
    case "scontrol":
      return { stderr: `slurm_load_jobs error: ${slurm}\n`, exitCode: 1 };
    case "scancel":
      return { stderr: `scancel: error: Kill job error on job id ${args.at(-1) ?? ""}: ${slurm}\n`, exitCode: 8 };
    case "salloc":
      return { stderr: `salloc: error: Job submit/allocate failed: ${slurm}\n`, exitCode: 1 };
    case "srun": {
      const job = /--jobid=?(\d*)/.exec(args.join(" "))?.[1] ?? "";
      return {
        stderr: `srun: error: Unable to confirm allocation for job ${job}: ${slurm}\nsrun: Check SLURM_JOB_ID environment variable. Expired or invalid job ${job}\n`,
        exitCode: 1,
      };
    }
    case "sacct":
      return { stderr: "Slurm accounting storage is disabled\n", exitCode: 1 };
    case "qsub":
    case "qstat":
    case "qsig":
    case "qselect":
      // The exit code is what is left of -1, or of the error's number.
      return {
        stderr: `Connection refused\n${program}: cannot connect to server pbs (errno=15010)\n`,
        exitCode: program === "qstat" ? 255 : 162,
      };
    case "qdel":
      return { stderr: "Connection refused\nCouldn't connect to cluster: pbs\n", exitCode: 162 };
    case "bsub":
    case "bjobs":
    case "bkill":
      return "waits";
    default:
      return {
        stderr: `${program}: ERROR: Unable to connect to Flux: broker socket /run/flux/local was not found\n`,
        exitCode: 1,
      };
  }
}
