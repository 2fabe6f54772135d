import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "./machine.ts";

/** A real Slurm of one node on this machine, of this test file's own, so that its faults harm no other file. */
export interface Slurm {
  /** What its clients need as `SLURM_CONF`, in `[batch] env_vars` and in the environment of a test's own calls. */
  readonly configuration: string;
  /** `env_vars` of jacamar.toml, as a line of the table `[batch]`. */
  readonly envVars: string;
  /** slurmctld, the controller. */
  readonly controller: SlurmDaemon;
  /** slurmd, the node. Down means that its jobs are killed with it. */
  readonly node: SlurmDaemon;
  /** What the daemons logged so far. */
  logs(): string;
  /** Ends it with its jobs and removes all that it wrote. A second call does nothing. */
  stop(): void;
}

/** A daemon that a test can take away. Each call returns when it is so; doing it twice is fine. */
export interface SlurmDaemon {
  /** Ends it: connections to it are refused. */
  down(): void;
  /** Starts it again, with what it knew before. */
  up(): void;
  /** Lets it answer nothing: a client that asks hangs. */
  freeze(): void;
  /** The end of {@link freeze}. */
  thaw(): void;
}

let count = 0;

/**
 * Starts Slurm within a second. The partitions are `work` (the default), `short` (one minute), `urgent` (its jobs take the
 * place of others) and `closed` (its jobs wait for ever); the node has 16 CPUs, 64 GB and four GPUs, all of them claims. Further
 * lines of slurm.conf, such as `MinJobAge=5`, go to the end of its configuration. Stop it in `after()`; when the process of
 * the test is killed, the next start ends it.
 *
 * Needs root, since jobs run as their users: see {@link slurmMissing}.
 *
 * @throws when Slurm does not start
 */
export function startSlurm(lines: readonly string[] = []): Slurm {
  count += 1;
  const name = `test-${process.pid}-${count}`;
  const started = slurm("start", "--name", name, "--owner", String(process.pid), ...lines);
  const configuration = started.trim();
  const stop = () => {
    slurm("stop", "--name", name);
    process.off("exit", stop);
  };
  process.on("exit", stop); // also when a test fails half-way
  return {
    configuration,
    envVars: `env_vars = ["SLURM_CONF=${configuration}"]`,
    controller: daemon("controller", name),
    node: daemon("node", name),
    logs: () => ["slurmctld", "slurmd"].map((log) => readFileSync(join(configuration, "../log", log), "utf8")).join(""),
    stop,
  };
}

/** Why there can be no Slurm here, for a test's `skip`; false where there can. */
export function slurmMissing(): string | false {
  return process.getuid?.() === 0 ? false : "only root can start Slurm, whose jobs run as their users";
}

function daemon(which: "controller" | "node", name: string): SlurmDaemon {
  const command = (verb: string) => () => {
    slurm(which, verb, "--name", name);
  };
  return { down: command("down"), up: command("up"), freeze: command("freeze"), thaw: command("thaw") };
}

function slurm(...args: readonly string[]): string {
  return execFileSync(checkout("scripts/setup/slurm"), args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
}
