import { mkdtempSync } from "node:fs";
import { installStandIn, type StandIn, type StandInKind } from "../../harness/schedulers.ts";
import { tracesAfter } from "../stopping/traces.ts";
import { type AnyJob, Jobs, type Wanted } from "../stopping/jobs.ts";

/** How users write the same wish for each scheduler, and which program answers what. */
export interface Dialect {
  readonly executor: string;
  readonly title: string;
  readonly hold: string;
  readonly nowhere: string;
  readonly oneMinute: string;
  /** An argument that is the driver's own. */
  readonly own: string;
  /** A variable that the scheduler gives a job. */
  readonly variable: string;
  readonly submits: string;
  readonly asks: string;
  readonly cancels: string;
}

export const dialects: Readonly<Record<StandInKind, Dialect>> = {
  slurm: {
    executor: "slurm",
    title: "Slurm",
    hold: "--hold",
    nowhere: "-p nowhere",
    oneMinute: "-t 1",
    own: "-o/tmp/x",
    variable: "SLURM_JOB_ID",
    submits: "sbatch",
    asks: "squeue",
    cancels: "scancel",
  },
  flux: {
    executor: "flux",
    title: "Flux",
    hold: "--urgency=0",
    nowhere: "-q nowhere",
    oneMinute: "-t 1m",
    own: "--output=/tmp/x",
    variable: "FLUX_URI",
    submits: "flux-batch",
    asks: "flux-jobs",
    cancels: "flux-cancel",
  },
  pbs: {
    executor: "pbs",
    title: "PBS",
    hold: "-h",
    nowhere: "-q nowhere",
    oneMinute: "-l walltime=1:00",
    own: "-hN x",
    variable: "PBS_JOBID",
    submits: "qsub",
    asks: "qstat",
    cancels: "qdel",
  },
  lsf: {
    executor: "lsf",
    title: "LSF",
    hold: "-H",
    nowhere: "-q nowhere",
    oneMinute: "-W 1",
    own: "-oo /tmp/x",
    variable: "LSB_JOBID",
    submits: "bsub",
    asks: "bjobs",
    cancels: "bkill",
  },
};

/** A scheduler that is played, and CI jobs whose scripts it runs. */
export class PlayedCluster {
  readonly jobs: Jobs;
  readonly standIn: StandIn;
  readonly kind: StandInKind;
  readonly dialect: Dialect;

  private constructor(jobs: Jobs, standIn: StandIn, kind: StandInKind) {
    this.jobs = jobs;
    this.standIn = standIn;
    this.kind = kind;
    this.dialect = dialects[kind];
  }

  static async open(kind: StandInKind, name: string): Promise<PlayedCluster> {
    const jobs = new Jobs(`${name}-${kind}`);
    const standIn = await installStandIn(kind, mkdtempSync("/var/tmp/jacamar-stand-in-"), jobs.user);
    await standIn.set({ killWaitMilliseconds: 2000 });
    return new PlayedCluster(jobs, standIn, kind);
  }

  /** A CI job. Its patience is short, so that tests are. */
  job({ batch = "", general = "", ...wanted }: Wanted = {}): AnyJob {
    const usual = ["command_delay = '2s'", "nfs_timeout = '2s'"];
    const lines = usual.filter((line) => !batch.includes(line.split(" ")[0] ?? ""));
    return this.jobs.job({
      executor: this.dialect.executor,
      general: general.includes("kill_timeout") ? general : `${general}\nkill_timeout = "10s"`,
      batch: [`scheduler_bin = ${JSON.stringify(this.standIn.bin)}`, ...lines, batch].join("\n"),
      ...wanted,
    });
  }

  /** A CI job that is ready to run, with arguments for the scheduler. */
  async ready(schedulerParameters = "", wanted: Wanted = {}): Promise<AnyJob> {
    const variables = { SCHEDULER_PARAMETERS: schedulerParameters, ...wanted.variables };
    const job = this.job({ ...wanted, variables });
    await job.ready();
    return job;
  }

  /** The names of jobs that have not ended. */
  async queue(): Promise<string[]> {
    return (await this.standIn.jobs()).filter(({ state }) => state !== "ended").map(({ name }) => name);
  }

  /** The number of the scheduler's job of a CI job, in the order of submission. */
  async numberOf(job: AnyJob): Promise<number> {
    const found = (await this.standIn.jobs()).findLast(({ name }) => name.includes(`${job.id}-`));
    if (found === undefined) throw new Error(`There is no job of CI job ${job.id}`);
    return found.number;
  }

  /** What is left of a CI job on this machine, and in the queue. */
  async traces(job: AnyJob): Promise<string[]> {
    const { user, dataDir } = this.jobs;
    const queued = (await this.queue()).filter((name) => name.includes(`${job.id}-`));
    return [...(await tracesAfter(job, user, dataDir, 20)), ...queued.map((name) => `in the queue: ${name}`)];
  }

  async close(): Promise<void> {
    // A cleanup asks the scheduler.
    await this.jobs.close();
    await this.standIn.stop();
  }
}
