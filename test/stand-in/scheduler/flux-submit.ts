import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Cluster } from "./cluster.ts";
import type { CommandLine, Grammar } from "./command-line.ts";
import { exitCodeOf, parseFlux } from "./flux-queue.ts";
import { f58For, jobOf, stepIdOf } from "./flux-words.ts";
import { type Call, leaveQueue, type Program } from "./front-end.ts";
import type { Job, JobSpec } from "./job.ts";
import { processesOf, signalAll } from "./processes.ts";

/** Options of flux-batch(1), flux-alloc(1), flux-submit(1) and flux-run(1). Its parser knows no abbreviations. */
const grammar: Grammar = {
  short: "B:q:t:o:S:n:c:g:N:xulvd",
  long: {
    bank: true,
    bg: false,
    "broker-opts": true,
    conf: true,
    "cores-per-slot": true,
    "cores-per-task": true,
    cwd: true,
    dependency: true,
    "dry-run": false,
    dump: "optional",
    env: true,
    "env-remove": true,
    error: true,
    exclusive: false,
    flags: true,
    "gpus-per-slot": true,
    "gpus-per-task": true,
    input: true,
    "job-name": true,
    "label-io": false,
    nodes: true,
    nslots: true,
    ntasks: true,
    output: true,
    queue: true,
    quiet: false,
    requires: true,
    rlimit: true,
    setattr: true,
    setopt: true,
    signal: true,
    "time-limit": true,
    unbuffered: false,
    urgency: true,
    verbose: "optional",
    wait: false,
    watch: false,
    wrap: false,
  },
};

const queues = ["batch", "debug", "closed"];

function valueOf({ options }: CommandLine, long: string, letter = ""): string | undefined {
  return (options.get(long) ?? options.get(letter))?.at(-1);
}

/** What a job has from its command line; undefined when it is wrong, which has been said. */
function describe(call: Call, line: CommandLine): Omit<JobSpec, "script" | "name"> | undefined {
  const error = (words: string) => call.err(`${call.program}: ERROR: ${words}\n`);
  const queue = valueOf(line, "queue", "q");
  if (queue !== undefined && !queues.includes(queue)) {
    error(`Invalid queue '${queue}' specified`);
    return undefined;
  }
  const time = valueOf(line, "time-limit", "t");
  const seconds = time === undefined ? undefined : secondsOf(time);
  if (time !== undefined && seconds === undefined) {
    error("invalid Flux standard duration");
    return undefined;
  }
  if (Number(valueOf(line, "nodes", "N") ?? 1) > 1) {
    error("unsatisfiable request");
    return undefined;
  }
  const directory = resolve(call.workingDirectory, valueOf(line, "cwd") ?? ".");
  return {
    userName: call.userName,
    interpreter: [],
    scriptArguments: [],
    environment: call.environment,
    workingDirectory: directory,
    output: undefined,
    error: undefined,
    queue: queue ?? "batch",
    timeLimitSeconds: seconds,
    held: heldBy(line, queue),
    requeues: false,
    gpus: Number(valueOf(line, "gpus-per-slot", "g") ?? valueOf(line, "gpus-per-task") ?? 0),
  };
}

function heldBy(line: CommandLine, queue: string | undefined): string | undefined {
  if (valueOf(line, "urgency") === "0" || valueOf(line, "urgency") === "hold") return "held";
  if (valueOf(line, "dependency") !== undefined) return "depend";
  return queue === "closed" ? "queue is stopped" : undefined;
}

/** Minutes, or a number with a unit (RFC 23); in seconds. */
function secondsOf(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(s|m|h|d)?$/.exec(text) ?? [];
  if (number === undefined) return undefined;
  return Number(number) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit ?? "m"] ?? 60);
}

/** flux-batch(1): a script that is copied now and runs as the first program of an instance of its own. */
export const batch: Program = (call, cluster) => {
  const line = parseFlux(call, grammar);
  if (line === undefined) return 2;
  if (valueOf(line, "nslots", "n") === undefined && valueOf(line, "nodes", "N") === undefined) {
    call.err("flux-batch: ERROR: Number of slots to allocate must be specified\n");
    return 1;
  }
  const described = describe(call, line);
  if (described === undefined) return 1;
  const [path = "", ...scriptArguments] = line.rest;
  const wraps = line.options.has("wrap");
  let script = `#!/bin/sh\n${line.rest.join(" ")}\n`;
  if (!wraps) {
    try {
      script = readFileSync(resolve(call.workingDirectory, path), "utf8");
    } catch {
      call.err(`flux-batch: ERROR: No such file or directory: '${path}'\n`);
      return 1;
    }
    if (!script.startsWith("#!")) {
      call.err(`flux-batch: ERROR: ${path} does not appear to start with '#!'\n`);
      return 1;
    }
  }
  const output = valueOf(line, "output") ?? "flux-{{id}}.out";
  const error = valueOf(line, "error");
  const mode = (line.options.get("o") ?? line.options.get("setopt"))?.includes("output.mode=append")
    ? "append"
    : "truncate";
  const at = (to: string) => ({ path: resolve(described.workingDirectory, to), mode, when: "directly" }) as const;
  const job = cluster.submit({
    ...described,
    name: valueOf(line, "job-name") ?? path,
    script,
    scriptArguments: wraps ? [] : scriptArguments,
    output: at(output),
    error: error === undefined ? undefined : at(error),
  });
  if (!line.options.has("quiet")) call.out(`${f58For(call, job)}\n`);
  return 0;
};

/** flux-submit(1): a command as a job. Its output is kept in the job's log when no file is named, and not shown here. */
export const submit: Program = (call, cluster) => {
  const job = submitCommand(call, cluster);
  if (typeof job === "number") return job;
  call.out(`${f58For(call, job)}\n`);
  return 0;
};

/** flux-run(1): as a step in the instance that FLUX_URI names, or as a job of its own. */
export const run: Program = async (call, cluster) => {
  const instance = instanceOf(call, cluster);
  if (instance === "gone") {
    call.err("flux-run: ERROR: Unable to connect to Flux: broker socket was not found\n");
    return 1;
  }
  if (instance === undefined) {
    const job = submitCommand(call, cluster);
    if (typeof job === "number") return job;
    await cluster.ended(job);
    return exitCodeOf(job);
  }
  const line = parseFlux(call, grammar);
  if (line === undefined) return 2;
  const ended = await cluster.runStep(instance, line.rest, {
    name: valueOf(line, "job-name") ?? line.rest[0] ?? "",
    environment: call.environment,
    workingDirectory: resolve(call.workingDirectory, valueOf(line, "cwd") ?? "."),
    onOutput: (stream, chunk) => (stream === "stdout" ? call.out(chunk) : call.err(chunk)),
    onStart: (kill) => call.onSignal((signal) => kill(signal === "SIGINT" ? "SIGINT" : "SIGTERM")),
  });
  if (ended.signal !== undefined) {
    call.err("flux-job: task(s) Terminated\n");
    return 143;
  }
  if (ended.exitCode !== 0) call.err(`flux-job: task(s) exited with exit code ${ended.exitCode}\n`);
  return ended.exitCode;
};

function submitCommand(call: Call, cluster: Cluster): Job | number {
  const line = parseFlux(call, grammar);
  if (line === undefined) return 2;
  const described = describe(call, line);
  if (described === undefined) return 1;
  const output = valueOf(line, "output");
  return cluster.submit({
    ...described,
    name: valueOf(line, "job-name") ?? line.rest[0] ?? "",
    script: `#!/bin/sh\nexec ${line.rest.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")}\n`,
    output:
      output === undefined
        ? undefined
        : { path: resolve(described.workingDirectory, output), mode: "truncate", when: "directly" },
  });
}

/** flux-alloc(1), with `--bg` only: an instance without a program, which is there when the command ends. */
export const alloc: Program = async (call, cluster) => {
  const line = parseFlux(call, grammar);
  if (line === undefined) return 2;
  if (valueOf(line, "nslots", "n") === undefined && valueOf(line, "nodes", "N") === undefined) {
    call.err("flux-alloc: ERROR: Number of slots to allocate must be specified\n");
    return 1;
  }
  const described = describe(call, line);
  if (described === undefined) return 1;
  const job = cluster.submit({ ...described, name: valueOf(line, "job-name") ?? "flux", script: undefined });
  if ((await leaveQueue(call, job)) === "told") {
    call.err(`\r${f58For(call, job)}: Interrupt: canceling job\n`);
    cluster.end(job, "cancelled");
    return 1;
  }
  if (job.state === "ended") {
    call.err(`flux-alloc: ERROR: ${f58For(call, job)}: unexpectedly exited\n`);
    return 1;
  }
  call.out(`${f58For(call, job)}\n`);
  return 0;
};

/** flux-proxy(1): runs a command here, not in the job, whose Flux commands refer to the job's instance. */
export const proxy: Program = async (call, cluster) => {
  const [id = "", ...command] = call.args;
  const job = jobOf(id, cluster);
  if (job === undefined || job === false || job.state !== "running") {
    const why = job === undefined || job === false ? `jobid ${id} not found` : `jobid ${id} is not running`;
    call.err(`flux-proxy: ERROR: Unable to resolve ${id}: ${why}\n`);
    return 1;
  }
  // Of all that could be run, only some of Flux's own commands are wanted here.
  const [flux = "", program = "", ...args] = command;
  const environment = { ...call.environment, FLUX_URI: `local:///run/flux/stand-in/job-${job.number}/local-0` };
  const inner = { ...call, program: `flux-${program}`, args, environment };
  if (!flux.endsWith("flux") || !["run", "job", "cancel"].includes(program)) {
    call.err(`flux-proxy: the stand-in does not run ${command.join(" ")}\n`);
    return 1;
  }
  if (program !== "run") return endStep(inner, cluster, job);
  const code = await run(inner, cluster);
  if (job.cause !== undefined) call.err("flux-proxy: ERROR: lost connection to Flux instance\n");
  return code;
};

/** `flux job kill ID` and `flux cancel ID` in a job's instance. */
function endStep(call: Call, cluster: Cluster, job: Job): number {
  const id = call.args.at(-1) ?? "";
  const step = [...job.steps].find(([number]) => stepIdOf(number) === `ƒ${id.slice(1)}`)?.[1];
  if (step?.child.pid === undefined) {
    call.err(`${call.program}: ERROR: ${id}: unknown job id\n`);
    return 1;
  }
  const { pid } = step.child;
  signalAll(processesOf([pid]), "SIGTERM");
  if (call.program === "flux-cancel") {
    setTimeout(() => signalAll(processesOf([pid]), "SIGKILL"), cluster.settings.killWaitMilliseconds);
  }
  return 0;
}

/** The job whose instance FLUX_URI names; undefined for the system's. */
function instanceOf(call: Call, cluster: Cluster): Job | "gone" | undefined {
  const [, number] = /\/job-(\d+)\//.exec(call.environment["FLUX_URI"] ?? "") ?? [];
  if (number === undefined) return undefined;
  const job = cluster.known.find((each) => each.number === Number(number));
  return job?.state === "running" ? job : "gone";
}
