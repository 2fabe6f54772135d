import { BadOption, type CommandLine, readCommandLine } from "./command-line.ts";
import type { Cluster } from "./cluster.ts";
import { type Call, localTime, type Program, signalNamed } from "./front-end.ts";
import type { Job } from "./job.ts";
import { processesOf, signalAll } from "./processes.ts";
import { valueOf } from "./slurm-submit.ts";
import { exitCodeOf, reasonOf, shortStates, stateOf } from "./slurm-words.ts";

const badId = "slurm_load_jobs error: Invalid job id specified\n";

function parse(call: Call, grammar: Parameters<typeof readCommandLine>[1]): CommandLine | undefined {
  try {
    return readCommandLine(call.args, grammar);
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    call.err(
      `${call.program}: unrecognized option '${error.word}'\nTry "${call.program} --help" for more information\n`,
    );
    return undefined;
  }
}

function listOf(value: string | undefined): string[] | undefined {
  return value?.split(",").filter((word) => word !== "");
}

/** squeue(1). */
export const squeue: Program = (call, cluster) => {
  const line = parse(call, {
    short: "aA:hij:lM:n:o:O:p:q:rst:u:vVw:",
    abbreviations: true,
    permute: true,
    long: {
      all: false,
      clusters: true,
      format: true,
      jobs: true,
      me: false,
      name: true,
      noheader: false,
      partition: true,
      sort: true,
      start: false,
      states: true,
      steps: "optional",
      user: true,
    },
  });
  if (line === undefined) return 1;
  const ids = listOf(valueOf(line, "jobs", "j"));
  const wrong = ids?.find((id) => !/^\d+$/.test(id));
  if (wrong !== undefined) {
    call.err(`squeue: error: Invalid job id: ${wrong}\n`);
    return 1;
  }
  if (ids?.length === 1 && !cluster.known.some((job) => ids.includes(String(job.number)))) {
    call.err(badId);
    return 1;
  }
  const format = valueOf(line, "format", "o") ?? "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R";
  const noHeader = line.options.has("noheader") || line.options.has("h");
  if (line.options.has("steps") || line.options.has("s")) return listSteps(call, cluster, ids, format);
  if (!noHeader) call.out(`${expand(format, (letter) => headers[letter] ?? "")}\n`);
  for (const job of select(cluster, call, line, ids)) {
    call.out(`${expand(format, (letter) => fieldOf(job, letter, cluster))}\n`);
  }
  return 0;
};

function select(cluster: Cluster, call: Call, line: CommandLine, ids: string[] | undefined): Job[] {
  const states = listOf(valueOf(line, "states", "t"))?.map((state) => state.toUpperCase());
  const users = listOf(valueOf(line, "user", "u"));
  const names = listOf(valueOf(line, "name", "n"));
  const partitions = listOf(valueOf(line, "partition", "p"));
  return cluster.known.filter((job) => {
    const state = stateOf(job);
    const shown =
      states === undefined
        ? job.state !== "ended"
        : states.some((each) => [state, shortStates[state], "ALL"].includes(each.replace(/^all$/i, "ALL")));
    return (
      shown &&
      (ids?.includes(String(job.number)) ?? true) &&
      (users?.includes(job.spec.userName) ?? true) &&
      (names?.includes(job.spec.name) ?? true) &&
      (partitions?.includes(job.spec.queue) ?? true) &&
      call.userName === job.spec.userName
    );
  });
}

function listSteps(call: Call, cluster: Cluster, ids: string[] | undefined, format: string): number {
  for (const job of cluster.known) {
    if (ids !== undefined && !ids.includes(String(job.number))) continue;
    for (const [step, { name }] of job.steps) {
      const fields: Readonly<Record<string, string>> = { i: `${job.number}.${step}`, j: name, u: job.spec.userName };
      call.out(`${expand(format, (letter) => fields[letter] ?? "")}\n`);
    }
  }
  return 0;
}

const headers: Readonly<Record<string, string>> = {
  i: "JOBID",
  A: "JOBID",
  T: "STATE",
  t: "ST",
  r: "REASON",
  R: "NODELIST(REASON)",
  S: "START_TIME",
  M: "TIME",
  l: "TIME_LIMIT",
  N: "NODELIST",
  j: "NAME",
  u: "USER",
  P: "PARTITION",
  D: "NODES",
  V: "SUBMIT_TIME",
  e: "END_TIME",
};

/** `%i`, `%.18i`, `%18i`. */
function expand(format: string, field: (letter: string) => string): string {
  return format.replaceAll(/%(\.?)(\d*)([A-Za-z])/g, (_, right: string, width: string, letter: string) => {
    const value = field(letter);
    if (width === "") return value;
    const cut = value.slice(0, Number(width));
    return right === "." ? cut.padStart(Number(width)) : cut.padEnd(Number(width));
  });
}

function fieldOf(job: Job, letter: string, cluster: Cluster): string {
  const nodes = job.state === "pending" || job.end?.ran === false ? "" : cluster.nodeName;
  switch (letter) {
    case "i":
    case "A":
      return String(job.number);
    case "T":
      return stateOf(job);
    case "t":
      return shortStates[stateOf(job)] ?? "";
    case "r":
      return reasonOf(job);
    case "R":
      return nodes === "" ? `(${reasonOf(job)})` : nodes;
    case "S":
      return timeOr(job.startedAt ?? job.estimatedStart, "N/A");
    case "M":
      return elapsed((job.endedAt ?? Date.now()) - (job.startedAt ?? Date.now()));
    case "l":
      return job.spec.timeLimitSeconds === undefined ? "UNLIMITED" : elapsed(job.spec.timeLimitSeconds * 1000);
    case "N":
      return nodes;
    case "j":
      return job.spec.name;
    case "u":
      return job.spec.userName;
    case "P":
      return job.spec.queue;
    case "D":
      return "1";
    case "V":
      return timeOr(job.submittedAt, "N/A");
    case "e":
      return timeOr(job.endedAt, "N/A");
    default:
      return "";
  }
}

function timeOr(milliseconds: number | undefined, otherwise: string): string {
  return milliseconds === undefined ? otherwise : localTime(milliseconds);
}

function elapsed(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** scontrol(1): show job, requeue, requeuehold, hold, release, ping. */
export const scontrol: Program = (call, cluster) => {
  const line = parse(call, {
    short: "adhoM:Qu:vV",
    abbreviations: true,
    permute: true,
    long: { all: false, clusters: true, oneliner: false, quiet: false },
  });
  const [verb = "", what = "", id = ""] = line?.rest ?? [];
  if (line === undefined) return 1;
  if (verb === "ping") {
    call.out("Slurmctld(primary) at localhost is UP\n");
    return 0;
  }
  if (verb === "show" && what === "job") return showJob(call, cluster, id, line);
  const job = find(cluster, what);
  if (job === undefined) {
    call.err("Invalid job id specified\n");
    return 1;
  }
  if (verb === "requeue" || verb === "requeuehold") {
    if (verb === "requeuehold") job.held = "job requeued in held state";
    cluster.end(job, "requeued");
  } else if (verb === "hold") job.held = "JobHeldUser";
  else if (verb === "release") job.held = undefined;
  else {
    call.err(`invalid keyword: ${verb}\n`);
    return 1;
  }
  return 0;
};

function showJob(call: Call, cluster: Cluster, id: string, line: CommandLine): number {
  // It takes one id; what is none is refused in other words than one that it does not know.
  if (!/^\d+$/.test(id)) {
    call.err("scontrol_print_job error: Invalid job id specified\n");
    return 1;
  }
  const job = find(cluster, id);
  if (job === undefined) {
    call.err(badId);
    return 1;
  }
  const fields = recordOf(job, cluster);
  const oneLine = line.options.has("o") || line.options.has("oneliner");
  call.out(oneLine ? `${fields.join(" ")} \n` : `${fields.join("\n   ")}\n\n`);
  return 0;
}

function recordOf(job: Job, cluster: Cluster): string[] {
  const { spec } = job;
  const [code, signal] = exitCodeOf(job);
  const ran = job.state !== "pending" && job.end?.ran !== false;
  return [
    `JobId=${job.number}`,
    `JobName=${spec.name}`,
    `UserId=${spec.userName}(${process.getuid?.() ?? 0})`,
    `GroupId=${spec.userName}(${process.getgid?.() ?? 0})`,
    "MCS_label=N/A Priority=4294901759 Nice=0 Account=(null) QOS=(null)",
    `JobState=${stateOf(job)}`,
    `Reason=${reasonOf(job).replaceAll(" ", "_")}`,
    "Dependency=(null)",
    `Requeue=${spec.requeues ? 1 : 0} Restarts=${job.restarts} BatchFlag=${spec.script === undefined ? 0 : 1} Reboot=0`,
    `ExitCode=${code}:${signal}`,
    `SubmitTime=${localTime(job.submittedAt)}`,
    `StartTime=${timeOr(job.startedAt ?? job.estimatedStart, "Unknown")}`,
    `EndTime=${timeOr(job.endedAt, "Unknown")}`,
    `Partition=${spec.queue} AllocNode:Sid=localhost:1 ReqNodeList=(null) ExcNodeList=(null)`,
    `NodeList=${ran ? cluster.nodeName : ""}`,
    ...(ran ? [`BatchHost=${cluster.nodeName}`] : []),
    "NumNodes=1 NumCPUs=1 NumTasks=1 CPUs/Task=1 OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null)",
    "Command=(null)",
    `WorkDir=${spec.workingDirectory}`,
    "StdIn=/dev/null",
    "Power=",
  ];
}

function find(cluster: Cluster, id: string): Job | undefined {
  return cluster.known.find((job) => String(job.number) === id);
}

/** scancel(1). An id that is not known, or has ended, is no error. */
export const scancel: Program = (call, cluster) => {
  const line = parse(call, {
    short: "A:bfHiM:n:p:q:QR:s:t:u:vVw:",
    abbreviations: true,
    permute: true,
    long: {
      batch: false,
      clusters: true,
      full: false,
      name: true,
      partition: true,
      quiet: false,
      signal: true,
      state: true,
      user: true,
    },
  });
  if (line === undefined) return 1;
  const wrong = line.rest.find((id) => !/^\d+(\.\d+)?$/.test(id));
  if (wrong !== undefined) {
    call.err(`scancel: error: Invalid job id ${wrong}\n`);
    return 1;
  }
  const name = valueOf(line, "name", "n");
  const all = name !== undefined || line.options.has("u") || line.options.has("user");
  const signal = valueOf(line, "signal", "s");
  for (const job of cluster.known) {
    for (const id of line.rest.filter((each) => each.startsWith(`${job.number}.`))) {
      const pid = job.steps.get(Number(id.split(".")[1]))?.child.pid;
      if (pid === undefined) continue;
      signalAll(processesOf([pid]), signalNamed(signal ?? "TERM") ?? "SIGTERM");
      if (signal === undefined) {
        setTimeout(() => signalAll(processesOf([pid]), "SIGKILL"), cluster.settings.killWaitMilliseconds);
      }
    }
    const meant = all ? name === undefined || job.spec.name === name : line.rest.includes(String(job.number));
    if (!meant || job.state === "ended") continue;
    if (signal === undefined) cluster.end(job, "cancelled");
    else send(call, cluster, job, line, signal);
  }
  return 0;
};

function send(call: Call, cluster: Cluster, job: Job, line: CommandLine, word: string): void {
  const signal = signalNamed(word);
  if (signal === undefined) return call.err(`scancel: error: Unknown job signal: ${word}\n`);
  if (job.state !== "running") return;
  if (line.options.has("full") || line.options.has("f")) cluster.signal(job, signal, "all");
  // Without one of these only job steps get it, and a batch script is none.
  else cluster.signal(job, signal, line.options.has("batch") || line.options.has("b") ? "script" : "steps");
}

/** sacct(1), where accounting is off. */
export const sacct: Program = (call) => {
  call.err("Slurm accounting storage is disabled\n");
  return 1;
};
