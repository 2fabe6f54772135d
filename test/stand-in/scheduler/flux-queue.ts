import type { Cluster } from "./cluster.ts";
import { BadOption, type CommandLine, type Grammar, readCommandLine } from "./command-line.ts";
import { exceptionOf, f58For, f58Of, fluidOf, jobOf, resultOf, stateOf, stepIdOf, waitStatusOf } from "./flux-words.ts";
import { type Call, type Program, signalNamed } from "./front-end.ts";
import type { Job } from "./job.ts";

/** Reads a command line as Python's argparse; undefined when it is wrong, which has been said: then the exit code is 2. */
export function parseFlux(call: Call, grammar: Grammar): CommandLine | undefined {
  try {
    return readCommandLine(call.args, grammar);
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    call.err(`usage: ${call.program.replace("-", " ")} [OPTIONS...]\n`);
    call.err(`${call.program}: error: unrecognized arguments: ${error.word}\n`);
    return undefined;
  }
}

/** flux-jobs(1), with `--json` and with a few of its fields. */
export const jobs: Program = (call, cluster) => {
  const line = parseFlux(call, {
    short: "aAc:f:no:q:Ru:i:w:",
    permute: true,
    long: {
      count: true,
      filter: true,
      format: true,
      include: true,
      json: false,
      name: true,
      "no-header": false,
      queue: true,
      recursive: false,
      since: true,
      user: true,
    },
  });
  if (line === undefined) return 2;
  const found = line.rest.length > 0 ? byId(call, cluster, line.rest) : byFilter(call, cluster, line);
  if (typeof found === "number") return found;
  if (line.options.has("json")) {
    const recursive = line.options.has("recursive") || line.options.has("R");
    const records = found.map((each) => ({
      ...recordOf(each, cluster),
      ...(recursive && each.state === "running" ? { jobs: stepsOf(each) } : {}),
    }));
    call.out(`${JSON.stringify(line.rest.length === 1 ? records[0] : { jobs: records })}\n`);
    return 0;
  }
  const format = line.options.get("o")?.at(-1) ?? line.options.get("format")?.at(-1) ?? "{id.f58} {name} {state}";
  if (!line.options.has("n") && !line.options.has("no-header"))
    call.out(`${format.replaceAll(/[{}]/g, "").toUpperCase()}\n`);
  for (const each of found) {
    call.out(
      `${format.replaceAll(/\{([a-z0-9_.]+)[^}]*\}/g, (_, field: string) => fieldOf(call, each, field, cluster))}\n`,
    );
  }
  return 0;
};

function byId(call: Call, cluster: Cluster, ids: readonly string[]): Job[] | number {
  const found: Job[] = [];
  for (const id of ids) {
    const meant = jobOf(id, cluster);
    if (meant === false) {
      call.err(`flux-jobs: error: argument JOBID: invalid JobID value: '${id}'\n`);
      return 2;
    }
    if (meant === undefined) call.err(`JobID ${id} unknown\n`);
    else found.push(meant);
  }
  return found.length === 0 ? 1 : found;
}

function byFilter(call: Call, cluster: Cluster, line: CommandLine): Job[] {
  const value = (long: string, letter: string) => (line.options.get(long) ?? line.options.get(letter))?.at(-1);
  const states = (
    value("filter", "f") ?? (line.options.has("a") ? "pending,running,inactive" : "pending,running")
  ).split(",");
  const user = value("user", "u");
  const name = value("name", "");
  return cluster.known.filter((each) => {
    const kind = each.state === "pending" ? "pending" : each.state === "ended" ? "inactive" : "running";
    const mine = user === undefined || user === "all" || [call.userName, String(process.getuid?.())].includes(user);
    return states.includes(kind) && mine && (name === undefined || each.spec.name === name);
  });
}

/** What `--json` has of a job (flux/job/info.py): unset values are empty strings or zeros. */
function recordOf(each: Job, cluster: Cluster): Readonly<Record<string, unknown>> {
  const seconds = (milliseconds: number | undefined) => (milliseconds ?? 0) / 1000;
  const waitStatus = waitStatusOf(each);
  const inactive = each.state === "ended";
  const result = inactive ? resultOf(each) : "";
  const started = each.state !== "pending" && each.end?.ran !== false;
  return {
    t_depend: seconds(each.submittedAt),
    t_run: started ? seconds(each.startedAt) : 0,
    t_cleanup: seconds(each.endedAt),
    t_inactive: seconds(each.endedAt),
    duration: each.spec.timeLimitSeconds ?? 0,
    expiration: 0,
    name: each.spec.name,
    cwd: each.spec.workingDirectory,
    queue: each.spec.queue,
    ntasks: 1,
    ncores: 1,
    nnodes: started ? 1 : "",
    priority: each.held === "held" ? 0 : 16,
    ranks: started ? "0" : "",
    nodelist: started ? cluster.nodeName : "",
    success: inactive ? result === "COMPLETED" : "",
    result,
    waitstatus: waitStatus ?? "",
    id: Number(fluidOf(each)),
    t_submit: seconds(each.submittedAt),
    t_remaining: 0,
    state: stateOf(each),
    username: each.spec.userName,
    userid: process.getuid?.() ?? 0,
    urgency: each.held === "held" ? 0 : 16,
    runtime: 0,
    status: inactive ? result : stateOf(each),
    returncode: returnCodeOf(each),
    dependencies: each.held === "depend" ? ["begin-time"] : [],
    jobid: f58Of(each, "ƒ"),
    annotations: annotationsOf(each),
    exception: exceptionOf(each),
  };
}

/** The jobs of a job's own instance. */
function stepsOf(each: Job): Readonly<Record<string, unknown>>[] {
  return [...each.steps].map(([step, { name }]) => ({ jobid: stepIdOf(step), name, state: "RUN", result: "" }));
}

function annotationsOf(each: Job): Readonly<Record<string, unknown>> {
  if (each.state === "running") return { user: { uri: `ssh://node1/run/flux/stand-in/job-${each.number}/local-0` } };
  const sched = {
    ...(each.reason === undefined || each.held !== undefined ? {} : { reason_pending: each.reason }),
    ...(each.estimatedStart === undefined ? {} : { t_estimate: each.estimatedStart / 1000 }),
  };
  return Object.keys(sched).length === 0 ? {} : { sched };
}

function returnCodeOf(each: Job): number | "" {
  const waitStatus = waitStatusOf(each);
  if (waitStatus !== undefined) return waitStatus >> 8;
  if (each.state !== "ended") return "";
  return resultOf(each) === "CANCELED" ? -128 : 1;
}

function fieldOf(call: Call, each: Job, field: string, cluster: Cluster): string {
  if (field === "id" || field.startsWith("id.f58")) return f58For(call, each);
  if (field === "id.dec") return String(fluidOf(each));
  if (field === "state" || field === "status") return stateOf(each);
  if (field === "result") return each.state === "ended" ? resultOf(each) : "";
  if (field === "returncode") return String(returnCodeOf(each));
  if (field === "name") return each.spec.name;
  return field === "nodelist" && each.state !== "pending" ? cluster.nodeName : "";
}

/** flux-cancel(1), by ids. */
export const cancel: Program = (call, cluster) => {
  const line = parseFlux(call, { short: "nqu:S:m:", permute: true, long: { all: false, message: true, user: true } });
  if (line === undefined) return 2;
  if (line.rest.length === 0) {
    call.err("flux-cancel: ERROR: No target jobs were provided\n");
    return 1;
  }
  let failed = false;
  for (const id of line.rest) {
    const meant = jobOf(id, cluster);
    if (meant === false) {
      call.err(`flux-cancel: error: argument JOBID...: invalid JobID value: '${id}'\n`);
      return 2;
    }
    if (meant !== undefined && meant.state !== "ended") {
      cluster.end(meant, "cancelled");
      continue;
    }
    failed = true;
    call.err(`flux-cancel: ERROR: ${id}: ${meant === undefined ? "unknown job id" : "job is inactive"}\n`);
  }
  return failed ? 1 : 0;
};

/** flux-job(1): kill, status, wait-event, id, attach. */
export const job: Program = async (call, cluster) => {
  const [verb = "", ...args] = call.args;
  const inner = { ...call, program: "flux-job", args };
  if (verb === "attach") return attach(inner, cluster);
  const line = parseFlux(inner, { short: "s:", permute: true, long: { signal: true, to: true } });
  if (line === undefined) return 1;
  const [id = ""] = line.rest;
  const meant = jobOf(id, cluster);
  if (meant === false) {
    call.err(`flux-job: error parsing jobid: "${id}"\n`);
    return 1;
  }
  if (meant === undefined) {
    call.err(`flux-job: ${verb} ${id}: unknown job id\n`);
    return 1;
  }
  if (verb === "id") {
    const to = line.options.get("to")?.at(-1);
    call.out(`${to === "dec" ? String(fluidOf(meant)) : f58For(call, meant)}\n`);
    return 0;
  }
  if (verb === "status") {
    await cluster.ended(meant);
    return exitCodeOf(meant);
  }
  if (verb !== "kill") {
    call.err(`flux-job: Unknown subcommand ${verb}\n`);
    return 1;
  }
  return kill(call, cluster, meant, id, line);
};

function kill(call: Call, cluster: Cluster, meant: Job, id: string, line: CommandLine): number {
  const word = (line.options.get("signal") ?? line.options.get("s"))?.at(-1) ?? "SIGTERM";
  const signal = signalNamed(word);
  if (signal === undefined) {
    call.err(`flux-job: kill: Invalid signal ${word}\n`);
    return 1;
  }
  if (meant.state !== "running") {
    call.err(`flux-job: kill ${id}: ${meant.state === "ended" ? "job is inactive" : "job is not running"}\n`);
    return 1;
  }
  // The broker passes on what is not deadly, and hangs up on its script otherwise.
  const deadly = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"].includes(signal);
  if (signal === "SIGKILL") cluster.signal(meant, signal, "all");
  else cluster.signal(meant, deadly ? "SIGHUP" : signal, "group");
  return 0;
}

/** The exit code of a job for `flux job attach` and `flux job status`. */
export function exitCodeOf(each: Job): number {
  if (each.end?.cause === "cancelled") return 143;
  return (waitStatusOf(each) ?? 256) >> 8;
}

/** `flux job attach`: waits for the end. The output of a batch job is in its file. */
export const attach: Program = async (call, cluster) => {
  const id = call.args.at(-1) ?? "";
  const meant = jobOf(id, cluster);
  if (meant === undefined || meant === false) {
    call.err(`flux-job: Failed to attach to ${id}: No such job\n`);
    return 1;
  }
  await cluster.ended(meant);
  const code = exitCodeOf(meant);
  if (code !== 0) call.err(`flux-job: task(s) exited with exit code ${code}\n`);
  return code;
};
