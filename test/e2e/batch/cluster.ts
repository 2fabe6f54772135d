import { execFileSync } from "node:child_process";
import { type Slurm, startSlurm } from "../../harness/slurm.ts";
import { tracesAfter } from "../stopping/traces.ts";
import { type AnyJob, Jobs, logOf, type Wanted } from "../stopping/jobs.ts";

/** A Slurm of one node, and CI jobs that run on it. */
export class Cluster {
  readonly jobs: Jobs;
  readonly slurm: Slurm;

  constructor(name: string, lines: readonly string[] = []) {
    this.jobs = new Jobs(`batch-${name}`);
    this.slurm = startSlurm(lines);
  }

  /** A CI job whose script Slurm runs. Its patience is short, so that tests are. */
  job({ batch = "", general = "", ...wanted }: Wanted = {}): AnyJob {
    const lines = ["command_delay = '2s'", "nfs_timeout = '3s'"].filter(
      (line) => !batch.includes(line.split(" ")[0] ?? ""),
    );
    return this.jobs.job({
      executor: "slurm",
      general: general.includes("kill_timeout") ? general : `${general}\nkill_timeout = "10s"`,
      batch: [this.slurm.envVars, ...lines, batch].join("\n"),
      ...wanted,
    });
  }

  /** A program of Slurm's, as root, and what it printed. */
  ask(...argv: readonly [string, ...string[]]): string {
    const [program, ...args] = argv;
    const env = { ...process.env, SLURM_CONF: this.slurm.configuration };
    return execFileSync(program, args, { encoding: "utf8", env, stdio: ["ignore", "pipe", "inherit"] });
  }

  /** The jobs that Slurm has not ended yet. */
  queue(): string[] {
    return this.ask("squeue", "--noheader", "--format=%j")
      .split("\n")
      .filter((line) => line !== "");
  }

  /** What is left of a CI job on this machine, and in the queue. */
  async traces(job: AnyJob): Promise<string[]> {
    const { user, dataDir } = this.jobs;
    const queued = this.queue().filter((name) => name.includes(`${job.id}-`));
    return [...(await tracesAfter(job, user, dataDir, 20)), ...queued.map((name) => `in the queue: ${name}`)];
  }

  async close(): Promise<void> {
    // A cleanup asks Slurm.
    await this.jobs.close();
    this.slurm.stop();
  }
}

/** The number of the Slurm job in a log. */
export function slurmIdIn(log: string): string {
  const id = /Submitted as Slurm job (\d+)/.exec(log)?.[1];
  if (id === undefined) throw new Error(`The log tells no job of Slurm's:\n${log}`);
  return id;
}

export { logOf };
