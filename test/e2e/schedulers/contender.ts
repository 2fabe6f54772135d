import { mkdtempSync, chmodSync, chownSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CallScheduler, QueueState, Scheduler, SchedulerId } from "../../../src/executor/batch/scheduler.ts";
import { schedulers } from "../../../src/executor/batch/schedulers.ts";
import { asUser, loginEnvironment, testUser, type User } from "../../harness/machine.ts";
import { installStandIn, type StandInKind } from "../../harness/schedulers.ts";
import { slurmMissing, startSlurm } from "../../harness/slurm.ts";
import type { Settings } from "../../stand-in/scheduler/cluster.ts";

/** A scheduler, real or played, as the driver talks to it. */
export interface Contender {
  readonly user: User;
  readonly scheduler: Scheduler;
  readonly call: CallScheduler;
  /** Of the user's own. */
  readonly directory: string;
  /** Arguments that hold a job, name a queue that there is not, and set the shortest time limit. */
  readonly words: Readonly<Record<"hold" | "nowhere" | "limit", readonly string[]>>;
  /** Runs a program of it. */
  run(argv: readonly [string, ...string[]], environment?: Readonly<Record<string, string>>): ReturnType<typeof asUser>;
  close(): Promise<void>;
}

/** What there is to compare. A real Slurm holds its stand-in to what it does. */
export const contenders: Readonly<Record<string, { skip: string | false; open: () => Promise<Contender> }>> = {
  "real Slurm": { skip: slurmMissing(), open: openSlurm },
  "the stand-in for Slurm": { skip: false, open: () => openStandIn("slurm") },
  "the stand-in for Flux": { skip: false, open: () => openStandIn("flux") },
  "the stand-in for PBS": { skip: false, open: () => openStandIn("pbs") },
  "the stand-in for PBS, without JSON": { skip: false, open: () => openStandIn("pbs", { json: "off" }) },
  "the stand-in for LSF": { skip: false, open: () => openStandIn("lsf") },
};

const words: Readonly<Record<StandInKind, Contender["words"]>> = {
  slurm: { hold: ["--hold"], nowhere: ["-p", "nowhere"], limit: ["--time=1"] },
  flux: { hold: ["--urgency=0"], nowhere: ["-q", "nowhere"], limit: ["-t", "1m"] },
  pbs: { hold: ["-h"], nowhere: ["-q", "nowhere"], limit: ["-l", "walltime=60"] },
  lsf: { hold: ["-H"], nowhere: ["-q", "nowhere"], limit: ["-W", "1"] },
};

async function openSlurm(): Promise<Contender> {
  const slurm = startSlurm();
  const contender = open("slurm", (program) => program, { SLURM_CONF: slurm.configuration });
  return {
    ...contender,
    close: async () => {
      slurm.stop();
      await contender.close();
    },
  };
}

/** A stand-in, and what is set of it. A minute of a time limit is two seconds long. */
export async function openStandIn(kind: StandInKind, settings: Partial<Settings> = {}): Promise<Contender> {
  const standIn = await installStandIn(kind, mkdtempSync("/var/tmp/jacamar-stand-in-"), testUser());
  await standIn.set({ minuteMilliseconds: 2000, ...settings });
  const contender = open(kind, (program) => join(standIn.bin, program), { PATH: `${standIn.bin}:/usr/bin:/bin` });
  return {
    ...contender,
    close: async () => {
      await standIn.stop();
      await contender.close();
    },
  };
}

function open(
  kind: StandInKind,
  find: (program: string) => string,
  variables: Readonly<Record<string, string>>,
): Contender {
  const user = testUser();
  const scheduler = schedulers[kind];
  if (scheduler === undefined) throw new Error(`There is no scheduler ${kind}`);
  const directory = mkdtempSync("/var/tmp/jacamar-schedulers-");
  chmodSync(directory, 0o700);
  chownSync(directory, user.uid, user.gid);
  const run: Contender["run"] = ([program, ...args], environment = {}) =>
    asUser(user, [find(program), ...args], {
      env: { ...loginEnvironment(user), ...variables, ...environment },
      cwd: directory,
    });
  return {
    user,
    scheduler,
    directory,
    words: words[kind],
    run,
    call: async (argv) => {
      const { exitCode, stdout, stderr } = await run(argv);
      return { exitCode, stdout, stderr };
    },
    close: async () => rmSync(directory, { recursive: true, force: true }),
  };
}

let count = 0;

/** Submits a script of Bash, and returns what became of it. */
export function submit(contender: Contender, script: string, userArguments: readonly string[] = []) {
  count += 1;
  const name = `jacamar-ci-${process.pid}-${count}`;
  const jobFile = join(contender.directory, `${count}.job`);
  writeFileSync(jobFile, `#!/bin/bash\ncd ${contender.directory}\n${script}\n`, { mode: 0o644 });
  const submission = { name, jobFile, logFile: join(contender.directory, `${count}.log`), userArguments };
  return contender.scheduler.submit(submission, contender.call).then((submitted) => ({ ...submission, submitted }));
}

/** As {@link submit}, for a job that must be accepted. */
export async function accepted(contender: Contender, script: string, userArguments: readonly string[] = []) {
  const { submitted, ...submission } = await submit(contender, script, userArguments);
  if (submitted.kind !== "accepted") throw new Error(`${submitted.kind}: ${submitted.said}`);
  return { ...submission, id: submitted.id };
}

/** Asks until the job is of that kind, and returns what is said of it then. Another end than the wanted one fails. */
export async function until<K extends QueueState["kind"]>(
  { scheduler, call }: Contender,
  id: SchedulerId,
  kind: K,
  seconds = 20,
): Promise<QueueState & { kind: K }> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const state = (await scheduler.ask([id], call)).get(id);
    if (isKind(state, kind)) return state;
    if (performance.now() > deadline || state?.kind === "ended") {
      throw new Error(`Job ${id} did not come to be ${kind}: ${JSON.stringify(state)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function isKind<K extends QueueState["kind"]>(
  state: QueueState | undefined,
  kind: K,
): state is QueueState & { kind: K } {
  return state?.kind === kind;
}
