import { slurmMissing } from "../../harness/slurm.ts";

/** Where a script runs: on this machine at once, or as a job of a real Slurm. */
export type TestExecutor = "shell" | "slurm";

/** Both, for tests of what must not depend on it; with why one cannot be here, for a test's `skip`. */
export const executors: readonly (readonly [executor: TestExecutor, skip: string | false])[] = [
  ["shell", false],
  ["slurm", slurmMissing()],
];

/** What the driver says of a batch job beside the script's own output. */
const words = /^(?:Submitted as Slurm job|Slurm job \d+ (?:waits in|has started on)) .*\n/gm;

/** The output of a user's script, without what a batch job's log has before it. */
export function scriptOutput(stdout: string): string {
  return stdout.replaceAll(words, "");
}
