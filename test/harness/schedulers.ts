import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { Settings } from "../stand-in/scheduler/cluster.ts";
import type { Fault } from "../stand-in/scheduler/fault.ts";
import { asUser, checkout, loginEnvironment, type User } from "./machine.ts";

export type StandInKind = "slurm" | "flux" | "pbs" | "lsf";

/** A scheduler that is played by small programs, for the schedulers that no package brings. Its jobs really run. */
export interface StandIn {
  /** The directory of its programs: `scheduler_bin`, or an entry of PATH. */
  readonly bin: string;
  readonly stateDirectory: string;
  /** Makes calls of a program go wrong: `sbatch`, or `flux-batch` and `flux-job-kill` for programs of Flux. */
  fault(program: string, fault: Fault): void;
  /** Programs work again. */
  mend(program: string): void;
  /** How often a program was called. */
  calls(program: string): number;
  set(settings: Partial<Settings>): Promise<void>;
  /** What befalls the job of that number in the order of submission, 1 for the first; its verbs are those of `control.ts`. */
  befall(verb: Misfortune, number: number): Promise<void>;
  /** All its jobs, in the order of submission. */
  jobs(): Promise<readonly StandInJob[]>;
  /** The controller can be taken away, as that of {@link ./slurm.ts}. */
  readonly controller: { down(): void; up(): Promise<void>; freeze(): void; thaw(): void };
  /** Ends it with its jobs and removes the directory. */
  stop(): Promise<void>;
}

export type Misfortune =
  | "cancel"
  | "memory"
  | "node-fail"
  | "preempt"
  | "requeue"
  | "time-limit"
  | "suspend"
  | "resume"
  | "release"
  | "forget";

/** A job as the stand-in has it. `pid` is that of its script. */
export type StandInJob = Readonly<v.InferOutput<typeof jobSchema>>;

const programs: Readonly<Record<StandInKind, readonly string[]>> = {
  slurm: ["sbatch", "squeue", "scancel", "scontrol", "sacct", "srun", "salloc"],
  flux: ["flux"],
  pbs: ["qsub", "qstat", "qdel", "qsig", "qselect"],
  lsf: ["bsub", "bjobs", "bkill"],
};

/**
 * Sets a stand-in up in a new directory, for one user, and starts its controller. Stop it in `after()`; when the process of
 * the test is killed, it ends by itself with its jobs, but the directory stays.
 */
export async function installStandIn(kind: StandInKind, directory: string, user: User): Promise<StandIn> {
  const [bin, library, stateDirectory] = ["bin", "programs", "state"].map((name) => join(directory, name));
  if (bin === undefined || library === undefined || stateDirectory === undefined) throw new TypeError();
  for (const path of [directory, bin, stateDirectory, join(stateDirectory, "faults")]) {
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o755);
  }
  // The checkout may be closed to the user.
  cpSync(checkout("test/stand-in/scheduler"), library, { recursive: true });
  writeFileSync(join(library, "package.json"), '{ "type": "module" }\n');
  placeNode(join(library, "node"));
  for (const path of [stateDirectory, join(stateDirectory, "faults")]) chownSync(path, user.uid, user.gid);
  const launcher = join(bin, "stand-in");
  writeFileSync(launcher, launcherOf(library, stateDirectory), { mode: 0o755 });
  for (const name of programs[kind]) symlinkSync("stand-in", join(bin, name));

  const controller = await startController(kind, library, stateDirectory, user);
  const control = async (...args: readonly string[]): Promise<string> => {
    const ended = await asUser(user, [launcher, ...args]);
    if (ended.exitCode !== 0) throw new Error(`stand-in ${args.join(" ")}: ${ended.stderr}`);
    return ended.stdout;
  };
  // Also when a test fails half-way.
  const atExit = () => {
    controller.kill("SIGTERM");
    controller.kill("SIGCONT");
    rmSync(directory, { recursive: true, force: true });
  };
  process.on("exit", atExit);
  return {
    bin,
    stateDirectory,
    fault: (program, fault) => {
      const path = join(stateDirectory, "faults", program);
      writeFileSync(path, JSON.stringify(fault));
      chownSync(path, user.uid, user.gid);
    },
    mend: (program) => rmSync(join(stateDirectory, "faults", program), { force: true }),
    calls: (program) => lengthOf(join(stateDirectory, "calls", program)),
    set: async (settings) => {
      for (const [key, value] of Object.entries(settings)) await control("set", key, String(value));
    },
    befall: async (verb, number) => void (await control(verb, String(number))),
    jobs: async () =>
      (await control("jobs"))
        .split("\n")
        .filter((line) => line !== "")
        .map(readJob),
    controller: {
      down: () => void controller.kill("SIGUSR1"),
      up: () => listening(controller, () => void controller.kill("SIGUSR2")),
      freeze: () => void controller.kill("SIGSTOP"),
      thaw: () => void controller.kill("SIGCONT"),
    },
    stop: async () => {
      process.off("exit", atExit);
      const gone = new Promise((resolve) => controller.once("exit", resolve));
      const alive = controller.exitCode === null && controller.signalCode === null;
      controller.kill("SIGTERM");
      controller.kill("SIGCONT");
      if (alive) await gone;
      // A program that was made to hang outlives a driver that was killed.
      spawnSync("pkill", ["-KILL", "-f", directory]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function launcherOf(library: string, stateDirectory: string): string {
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  return `#!/bin/sh
# Every program of the stand-in is a link to this.
[ -n "\${JACAMAR_STAND_IN-}" ] || JACAMAR_STAND_IN=${quoted(stateDirectory)}
export JACAMAR_STAND_IN
exec ${quoted(join(library, "node"))} ${quoted(join(library, "client.ts"))} "\${0##*/}" "$@"
`;
}

function placeNode(target: string): void {
  try {
    linkSync(checkout("node_modules/node/bin/node"), target);
  } catch {
    cpSync(checkout("node_modules/node/bin/node"), target);
  }
  chmodSync(target, 0o755);
}

async function startController(
  kind: StandInKind,
  library: string,
  stateDirectory: string,
  user: User,
): Promise<ChildProcess> {
  const argv = [join(library, "node"), join(library, "controller.ts"), kind, stateDirectory];
  const become = ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--init-groups", "--", ...argv];
  const [program = "", ...args] = process.getuid?.() === 0 && user.uid !== 0 ? become : argv;
  const controller = spawn(program, args, {
    cwd: user.home,
    env: loginEnvironment(user),
    detached: true, // Ctrl-C in a test does not end it before the test can clean up
    stdio: ["ignore", "pipe", "inherit"],
  });
  await listening(controller, () => undefined);
  return controller;
}

/** Resolves when the controller says that it takes connections. */
function listening(controller: ChildProcess, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    controller.stdout?.once("data", () => resolve());
    controller.once("exit", (code) => reject(new Error(`The stand-in's controller ended with ${String(code)}`)));
    begin();
  });
}

function lengthOf(path: string): number {
  try {
    return readFileSync(path).length;
  } catch {
    return 0;
  }
}

const jobSchema = v.object({
  number: v.number(),
  name: v.string(),
  state: v.picklist(["pending", "running", "ending", "ended"]),
  pid: v.optional(v.number()),
  restarts: v.number(),
});

function readJob(line: string): StandInJob {
  return v.parse(jobSchema, JSON.parse(line));
}
