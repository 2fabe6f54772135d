import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { generatedScript, TestJob } from "../test/harness/job.ts";
import { asUser, loginEnvironment, type Running, startAsUser, type User } from "../test/harness/machine.ts";
import { startRegistry } from "../test/harness/registry.ts";
import { type Slurm, slurmMissing, startSlurm } from "../test/harness/slurm.ts";
import type { Stage } from "../test/harness/stage.ts";
import { memoryOf } from "./memory.ts";
import { median, quantile } from "./statistics.ts";
import { ms, type Table } from "./table.ts";

/** What the measurements of batch jobs need. */
export interface BatchBench {
  readonly user: User;
  readonly stage: Stage;
  readonly table: Table;
}

const image = "localhost/jacamar-demo:latest";
const rounds = 9;
/** Questions are counted when their intervals have grown to the longest, 30 s, over several of these. */
const settleSeconds = 60;
const countSeconds = 60;
const programs = ["sbatch", "squeue", "scancel", "scontrol", "sacct"];

/** Room for hundreds of jobs that do nothing. */
const roomy = [
  "PartitionName=work Nodes=ALL Default=YES DefMemPerCPU=64 OverSubscribe=FORCE:20 MaxTime=INFINITE State=UP",
];

/** Measures jobs of a real Slurm on this machine, beside the bare sbatch. */
export function measureBatch(bench: BatchBench): Promise<void> {
  return measure(bench, "(h), (j), (l) batch jobs", measureEnds, measureSecondPrepare, measureLatency);
}

/** Measures what many jobs in the queue cost. It takes five minutes, since what is counted is rare. */
export function measureQueue(bench: BatchBench): Promise<void> {
  return measure(bench, "(i), (k) jobs in the queue", measureQuestions);
}

async function measure(
  bench: BatchBench,
  what: string,
  ...parts: readonly ((place: Place) => Promise<void>)[]
): Promise<void> {
  const missing = slurmMissing();
  if (missing !== false) return bench.table.add(what, `not measured: ${missing}`, "", undefined);
  const place = new Place(bench);
  try {
    for (const part of parts) await part(place);
  } finally {
    await place.close();
  }
}

/** A job of the measurements, and a Slurm. */
class Place {
  readonly user: User;
  readonly table: Table;
  readonly directory: string;
  readonly dataDir: string;
  readonly #stage: Stage;
  readonly #slurms: Slurm[] = [];
  #slot = 0;

  constructor({ user, stage, table }: BatchBench) {
    this.user = user;
    this.table = table;
    this.#stage = stage;
    this.dataDir = join(user.home, ".jacamar-bench-batch");
    this.directory = mkdtempSync("/var/tmp/jacamar-bench-");
    this.give(this.directory);
  }

  slurm(): Slurm {
    const slurm = startSlurm(roomy);
    this.#slurms.push(slurm);
    return slurm;
  }

  job(slurm: Slurm, more: { batch?: string; image?: string; pull?: "always"; arguments?: string } = {}): TestJob {
    this.#slot += 1;
    return new TestJob({
      user: this.user,
      jacamar: this.#stage.jacamar,
      slot: this.#slot,
      configuration: `[general]
executor = "slurm"
data_dir = ${JSON.stringify(this.dataDir)}
run_mechanism = "podman"
[general.podman]
image_pull_policy = "${more.pull ?? "never"}"
[batch]
${slurm.envVars}
${more.batch ?? ""}
`,
      ...(more.image === undefined ? {} : { image: more.image }),
      variables: { SCHEDULER_PARAMETERS: more.arguments ?? "" },
    });
  }

  /** A script of the user's, as GitLab Runner generates it. */
  script(name: string, body: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, generatedScript(body), { mode: 0o755 });
    this.give(path);
    return path;
  }

  give(path: string): void {
    chownSync(path, this.user.uid, this.user.gid);
  }

  environment(slurm: Slurm): Record<string, string> {
    return { ...loginEnvironment(this.user), SLURM_CONF: slurm.configuration };
  }

  /** A program of Slurm's, as root. */
  ask(slurm: Slurm, ...[program, ...args]: readonly [string, ...string[]]): string {
    const env = { ...process.env, SLURM_CONF: slurm.configuration };
    return execFileSync(program, args, { encoding: "utf8", env });
  }

  async close(): Promise<void> {
    for (const slurm of this.#slurms) slurm.stop();
    await asUser(this.user, ["podman", "unshare", "rm", "-rf", this.dataDir]);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function begin(job: TestJob): Promise<void> {
  must(await job.config());
  must(await job.prepare());
}

async function end(job: TestJob): Promise<void> {
  must(await job.cleanup());
  job.remove();
}

function must(ended: { exitCode: number | undefined; stdout: string; stderr: string }): void {
  if (ended.exitCode !== 0) throw new Error(`A measured program failed: ${ended.stdout}${ended.stderr}`);
}

/** The last thing that the script does is to print its clock. */
const sayEnd = 'sleep 0.3; printf "end %s\\n" "$EPOCHREALTIME"';

/** (h): what we add before Slurm has the job, and after the script has ended. */
async function measureEnds(place: Place): Promise<void> {
  const slurm = place.slurm();
  const job = place.job(slurm);
  await begin(job);
  const script = place.script("ends", sayEnd);
  const env = place.environment(slurm);
  const before = { ours: [] as number[], bare: [] as number[] };
  const after = { ours: [] as number[], bare: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const running = job.start("build_script", sayEnd);
    const ended = await running.done;
    must(ended);
    before.ours.push(running.chunks.find(({ text }) => text.includes("Submitted as"))?.atMilliseconds ?? Number.NaN);
    after.ours.push(sinceEnd(running, ended.exitedAfterMilliseconds, ended.stdout));

    const submitted = await asUser(place.user, ["sbatch", "--output=/dev/null", script], { env });
    must(submitted);
    before.bare.push(submitted.durationMilliseconds);

    const output = join(place.directory, "ends.out");
    const waiting = startAsUser(place.user, ["sbatch", "--wait", `--output=${output}`, script], { env });
    const waited = await waiting.done;
    must(waited);
    after.bare.push(sinceEnd(waiting, waited.exitedAfterMilliseconds, readFileSync(output, "utf8")));
  }
  await end(job);
  const added = median(before.ours) - median(before.bare);
  place.table.add(
    "(h) from our start until Slurm has the job",
    `${ms(median(before.ours))} against ${ms(median(before.bare))} for \`sbatch\`: ${ms(added)} more`,
    "",
    undefined,
  );
  place.table.add(
    "(h) from the script's end on its node to our exit",
    `${ms(median(after.ours))}, slowest ${ms(Math.max(...after.ours))}, against ${ms(median(after.bare))} for \`sbatch --wait\` (${rounds} jobs)`,
    "at most 300 ms",
    median(after.ours) <= 300,
  );
}

function sinceEnd(running: Running, exitedAfterMilliseconds: number, output: string): number {
  const [, seconds, micro] = /^end (\d+)\.(\d{6})$/m.exec(output) ?? [];
  return running.startedAtMilliseconds + exitedAfterMilliseconds - (Number(seconds) * 1000 + Number(micro) / 1000);
}

/** (j): some lines in quick succession, and some after a silence. */
async function measureLatency(place: Place): Promise<void> {
  const slurm = place.slurm();
  for (const [name, more] of [
    ["on the host", {}],
    ["in a container", { image }],
  ] as const) {
    const job = place.job(slurm, more);
    await begin(job);
    const running = job.start(
      "build_script",
      `say() { printf "at %s\\n" "$EPOCHREALTIME"; }
       for i in {1..200}; do say; sleep 0.02; done; for i in {1..12}; do sleep 1.3; say; done`,
    );
    must(await running.done);
    const delays = running.chunks.flatMap((chunk) =>
      [...chunk.text.matchAll(/^at (\d+)\.(\d{6})\r?$/gm)].map(
        (match) =>
          running.startedAtMilliseconds + chunk.atMilliseconds - (Number(match[1]) * 1000 + Number(match[2]) / 1000),
      ),
    );
    await end(job);
    const late = quantile(delays, 0.95);
    place.table.add(
      `(j) a line of a batch job until it is on our output, ${name}`,
      `${ms(median(delays))}, 95th percentile ${ms(late)}, slowest ${ms(Math.max(...delays))} (${delays.length} lines, local disk)`,
      "95th percentile below 300 ms",
      late < 300,
    );
  }
}

/** (l): prepare of a job whose image another job has had before. Each one asks the registry, which is on loopback. */
async function measureSecondPrepare(place: Place): Promise<void> {
  const slurm = place.slurm();
  const registry = startRegistry("anonymous");
  const times: number[] = [];
  const pulls: number[] = [];
  let first = Number.NaN;
  try {
    const name = await registry.push(place.user, image, "bench/app:1");
    for (let round = 0; round <= rounds; round += 1) {
      const job = place.job(slurm, { image: name, pull: "always" });
      must(await job.config());
      const prepared = await job.prepare();
      must(prepared);
      if (round === 0) first = prepared.durationMilliseconds;
      else times.push(prepared.durationMilliseconds);
      await end(job);
      const pull = await asUser(place.user, ["podman", "pull", "--quiet", name]);
      must(pull);
      pulls.push(pull.durationMilliseconds);
    }
    await asUser(place.user, ["podman", "rmi", name]);
  } finally {
    registry.stop();
  }
  const known = ms(median(times));
  place.table.add(
    "(l) prepare of a job with a known image",
    `${known}, of which \`podman pull\` takes ${ms(median(pulls))}; the first job with it, which makes the archive, ${ms(first)}`,
    "at most 500 ms",
    median(times) <= 500,
  );
}

/** Jobs that wait, then run: ours, or of the bare sbatch. */
interface Crowd {
  readonly name: string;
  readonly slurm: Slurm;
  readonly jobs: readonly TestJob[];
  readonly running: readonly Running[];
  /** A file with a line for each call of a program of Slurm's; undefined for the bare sbatch, which asks by itself. */
  readonly log: string | undefined;
}

/** (i) and (k): how often Slurm is asked, and what a driver takes, with 1 and with 100 jobs that wait and then run. */
async function measureQuestions(place: Place): Promise<void> {
  const one = await ourCrowd(place, 1);
  // Before there are others that share Node.js itself with it.
  const alone = memoryOf(one.running);
  const hundred = await ourCrowd(place, 100);
  const crowds = [one, hundred, bareCrowd(place, 1), bareCrowd(place, 100)];
  const waits = await countQuestions(place, crowds);
  const together = memoryOf(hundred.running);
  for (const { slurm } of crowds) {
    const ids = place
      .ask(slurm, "squeue", "--noheader", "--format=%A")
      .split("\n")
      .filter((line) => line !== "");
    place.ask(slurm, "scontrol", "release", ids.join(","));
  }
  const runs = await countQuestions(place, crowds);
  for (const { running, jobs } of crowds) {
    for (const each of running) each.killGroup("SIGTERM");
    for (const each of running) await each.done;
    for (const job of jobs) await end(job);
  }
  report("wait", waits, true);
  report("run", runs, false);
  for (const [name, found] of [
    [one.name, alone],
    [hundred.name, together],
  ] as const) {
    place.table.add(`(k) memory of a driver whose job waits, ${name}`, found.text, "at most 15 MB", found.mean <= 15);
  }

  function report(verb: string, counts: readonly Count[], aim: boolean): void {
    const [one, hundred, bareOne, bareHundred] = counts;
    if (!one || !hundred || !bareOne || !bareHundred) throw new TypeError();
    const hour = (count: number) => Math.round((count * 3600) / countSeconds);
    const further = (hour(hundred.calls) - hour(one.calls)) / 99;
    const say = (count: Count, jobs: number) =>
      `${hour(count.calls)} calls (${hour(count.requests)} requests at the controller, ${(hour(count.requests) / jobs).toFixed(1)} a job)`;
    const bare = (count: Count, jobs: number) => `${(hour(count.requests) / jobs).toFixed(1)} a job`;
    place.table.add(
      `(i) questions an hour while jobs ${verb}`,
      `1 job: ${say(one, 1)}; 100 jobs: ${say(hundred, 100)}, so ${further.toFixed(1)} calls for each further job; requests of \`sbatch --wait\`: ${bare(bareOne, 1)} with 1, ${bare(bareHundred, 100)} with 100`,
      aim ? "fewer than 10 calls for each further job" : "",
      aim ? further < 10 : undefined,
    );
  }
}

/** What was counted in the time for it. */
interface Count {
  /** Calls of Slurm's programs. */
  readonly calls: number;
  /** Requests that the controller has had of the user. */
  readonly requests: number;
}

async function countQuestions(place: Place, crowds: readonly Crowd[]): Promise<Count[]> {
  await sleep(settleSeconds);
  const before = crowds.map(({ log }) => linesOf(log));
  for (const { slurm } of crowds) place.ask(slurm, "sdiag", "--reset");
  await sleep(countSeconds);
  return crowds.map(({ slurm, log }, index) => {
    const counted = new RegExp(`^\\s+${place.user.name}\\s.*count:(\\d+)`, "m").exec(place.ask(slurm, "sdiag"))?.[1];
    return { calls: linesOf(log) - (before[index] ?? 0), requests: Number(counted ?? 0) };
  });
}

async function ourCrowd(place: Place, count: number): Promise<Crowd> {
  const name = `${count} job${count === 1 ? "" : "s"}`;
  const slurm = place.slurm();
  const { bin, log } = countingPrograms(place, `ours-${count}`);
  const jobs = Array.from({ length: count }, () =>
    place.job(slurm, { batch: `scheduler_bin = ${JSON.stringify(bin)}`, arguments: "--hold" }),
  );
  const running: Running[] = [];
  // Some at a time, as pipelines start.
  for (let at = 0; at < count; at += 4) {
    const some = jobs.slice(at, at + 4);
    await Promise.all(some.map(begin));
    for (const job of some) running.push(job.start("build_script", "sleep 3600"));
  }
  for (const each of running) await each.until("waits in the queue", 120);
  return { name, slurm, jobs, running, log };
}

function bareCrowd(place: Place, count: number): Crowd {
  const slurm = place.slurm();
  const script = place.script(`bare-${count}`, "sleep 3600");
  const argv = ["sbatch", "--wait", "--hold", "--output=/dev/null", script];
  const running = Array.from({ length: count }, () => startAsUser(place.user, argv, { env: place.environment(slurm) }));
  return { name: "bare", slurm, jobs: [], running, log: undefined };
}

/** Programs that note that they were called and then are Slurm's own. */
function countingPrograms(place: Place, name: string): { bin: string; log: string } {
  const bin = join(place.directory, name);
  const log = join(place.directory, `${name}.log`);
  mkdirSync(bin);
  chmodSync(bin, 0o755);
  appendFileSync(log, "");
  place.give(log);
  for (const program of programs) {
    const path = execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
    writeFileSync(join(bin, program), `#!/bin/sh\necho ${program} "$@" >>${log}\nexec ${path} "$@"\n`, { mode: 0o755 });
  }
  return { bin, log };
}

function linesOf(path: string | undefined): number {
  return path === undefined ? 0 : readFileSync(path, "utf8").split("\n").length - 1;
}

function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
