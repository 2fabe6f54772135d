import { join } from "node:path";
import type { TestJob } from "../test/harness/job.ts";
import { asUser, loginEnvironment, type User } from "../test/harness/machine.ts";
import { median } from "./statistics.ts";
import { ms, type Table } from "./table.ts";

/** Measures the administrator's commands, by the user, on the configuration and the job response of a job. */
export async function measureCommands(
  { user, jacamar, job }: { readonly user: User; readonly jacamar: string; readonly job: TestJob },
  rounds: number,
  table: Table,
): Promise<void> {
  const configuration = join(job.directory, "jacamar.toml");
  const response = join(job.directory, "response.json");
  const commands = [
    { what: "`jacamar check`", argv: ["check", configuration], aimSeconds: 0.3 },
    {
      what: "`jacamar explain` of a job response",
      argv: ["explain", "--configuration", configuration, "--response", response],
      aimSeconds: 0.3,
    },
    {
      what: "`jacamar doctor --no-network`",
      argv: ["doctor", "--no-network", "--configuration", configuration],
      aimSeconds: 2,
    },
  ];
  const times = commands.map((): number[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { what, argv }] of commands.entries()) {
      const ended = await asUser(user, [jacamar, ...argv], { env: loginEnvironment(user) });
      // 1: it has found something.
      if (ended.exitCode !== 0 && ended.exitCode !== 1) throw new Error(`${what} failed: ${ended.stderr}`);
      times[index]?.push(ended.durationMilliseconds);
    }
  }
  for (const [index, { what, aimSeconds }] of commands.entries()) {
    const taken = median(times[index] ?? []);
    table.add(`(o) ${what}`, ms(taken), `below ${aimSeconds} s`, taken < aimSeconds * 1000);
  }
}
