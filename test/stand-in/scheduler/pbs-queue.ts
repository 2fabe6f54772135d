import type { Cluster } from "./cluster.ts";
import { BadOption, type CommandLine, readCommandLine } from "./command-line.ts";
import { type Call, type Program, signalNamed } from "./front-end.ts";
import type { Job } from "./job.ts";
import { badUsage, errors, exitCodeOf, exitStatusOf, find, idOf, isId, serverName, stateOf } from "./pbs-words.ts";

function parse(call: Call, short: string): CommandLine | number {
  try {
    return readCommandLine(call.args, { short });
  } catch (error) {
    if (error instanceof BadOption) return badUsage(call, error);
    throw error;
  }
}

/** qstat(1B): `-f` with and without `-F json`, `-x`. */
export const qstat: Program = (call, cluster) => {
  const json = cluster.settings.json === "on";
  const line = parse(call, json ? "ainpqrstwxu:fGHJMQEBW:T1F:D:" : "ainpqrstwxu:fGHJMQEBW:T1");
  if (typeof line === "number") return line;
  const historical = line.options.has("x") || line.options.has("H");
  const user = line.options.get("u")?.at(-1);
  const asked =
    line.rest.length > 0
      ? line.rest
      : cluster.known.filter((job) => user === undefined || user === job.spec.userName).map(idOf);
  const found: Job[] = [];
  let exitCode = 0;
  for (const id of asked) {
    const wrong = whyNot(call, cluster, id, historical);
    if (wrong !== 0 && line.rest.length > 0) exitCode = wrong;
    const job = find(cluster, id);
    if (wrong === 0 && job !== undefined) found.push(job);
  }
  if (line.options.get("F")?.at(-1) === "json") {
    call.out(`${JSON.stringify(documentOf(found, cluster), undefined, 4)}\n`);
  } else
    for (const job of found)
      call.out(
        line.options.has("f")
          ? fullOf(job, cluster, line.options.has("w"))
          : `${idOf(job)} ${job.spec.name} ${stateOf(job)}\n`,
      );
  return exitCode;
};

/** Says why there is nothing to say of an id, and returns the exit code; 0 when there is. */
function whyNot(call: Call, cluster: Cluster, id: string, historical: boolean): number {
  if (!isId(id)) {
    call.err(`qstat: illegally formed job identifier: ${id}\n`);
    return 1;
  }
  if (historical && cluster.settings.history === "off") {
    call.err(`qstat: ${errors.noHistory[1]} ${id}\n`);
    return exitCodeOf(errors.noHistory);
  }
  const job = find(cluster, id);
  if (job === undefined) {
    call.err(`qstat: ${errors.unknownJob[1]} ${id}\n`);
    return exitCodeOf(errors.unknownJob);
  }
  if (job.state !== "ended" || historical) return 0;
  call.err(`qstat: ${idOf(job)} ${errors.finished[1]}, use -x or -H to obtain historical job information\n`);
  return exitCodeOf(errors.finished);
}

/** `Jobs` is there only when there is one. */
function documentOf(jobs: readonly Job[], cluster: Cluster): Readonly<Record<string, unknown>> {
  const head = { timestamp: Math.floor(Date.now() / 1000), pbs_version: "23.06.06", pbs_server: serverName };
  if (jobs.length === 0) return head;
  return {
    ...head,
    Jobs: Object.fromEntries(jobs.map((job) => [idOf(job), Object.fromEntries(attributesOf(job, cluster))])),
  };
}

function attributesOf(job: Job, cluster: Cluster): [string, unknown][] {
  const { spec } = job;
  const status = exitStatusOf(job);
  const ran = job.state !== "pending" && job.end?.ran !== false;
  const attributes: [string, unknown][] = [
    ["Job_Name", spec.name],
    ["Job_Owner", `${spec.userName}@${cluster.nodeName}`],
    ["job_state", stateOf(job)],
    ["queue", spec.queue],
    ["server", serverName],
    ["ctime", ctime(job.submittedAt)],
    ["Error_Path", `${cluster.nodeName}:${spec.error?.path ?? spec.output?.path ?? ""}`],
    ...(ran
      ? [attribute("exec_host", `${cluster.nodeName}/0`), attribute("exec_vnode", `(${cluster.nodeName}:ncpus=1)`)]
      : []),
    ["Output_Path", `${cluster.nodeName}:${spec.output?.path ?? ""}`],
    ["Rerunable", spec.requeues ? "True" : "False"],
    ["Resource_List", { ncpus: 1, nodect: 1, place: "pack", select: "1:ncpus=1" }],
    ["substate", 10],
    ["Variable_List", { PBS_O_HOME: spec.environment["HOME"] ?? "", PBS_O_QUEUE: spec.queue }],
    ["comment", commentOf(job, cluster)],
    ...(status === undefined ? [] : [attribute("Exit_status", status)]),
    ["run_count", job.restarts + (ran ? 1 : 0)],
    ...(job.estimatedStart === undefined ? [] : [attribute("estimated", { start_time: ctime(job.estimatedStart) })]),
  ];
  return attributes.filter(([, value]) => value !== undefined);
}

function attribute(name: string, value: unknown): [string, unknown] {
  return [name, value];
}

function commentOf(job: Job, cluster: Cluster): string | undefined {
  if (job.state === "pending") {
    if (job.held !== undefined) return job.held === "stopped" ? "Not Running: Queue not started." : undefined;
    if (job.reason === undefined) return undefined;
    const shortage = job.reason === "resources" || job.reason === "priority";
    return `Not Running: ${shortage ? "Insufficient amount of resource: ncpus" : job.reason}`;
  }
  const ran = `Job run at ${ctime(job.startedAt ?? 0).replace(/:\d\d \d{4}$/, "")} on (${cluster.nodeName}:ncpus=1)`;
  if (job.state !== "ended") return ran;
  if (job.end?.ran === false) return "terminated";
  return job.end?.exitCode === 0 && job.end.cause === undefined ? `${ran} and finished` : `${ran} and failed`;
}

/** `Wed Nov 25 16:02:19 2026`. */
function ctime(milliseconds: number): string {
  const [weekday, month, day, year, time] = new Date(milliseconds).toString().split(" ").toSpliced(5);
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${time} ${year}`;
}

/** `name = value` lines; a long value goes on in the next, behind a tab, unless `-w` is given. */
function fullOf(job: Job, cluster: Cluster, wide: boolean): string {
  const lines = attributesOf(job, cluster).flatMap(([name, value]) =>
    typeof value === "object" && value !== null
      ? Object.entries(value).map(([key, inner]) => [`${name}.${key}`, String(inner)])
      : [[name, String(value)]],
  );
  const text = lines.map(([name = "", value = ""]) => {
    const line = `    ${name} = ${value}`;
    return wide ? line : line.replaceAll(/(?<=^.{78}|\n\t.{70})(?=.)/g, "\n\t");
  });
  return `Job Id: ${idOf(job)}\n${text.join("\n")}\n\n`;
}

/** qdel(1B): SIGTERM, and SIGKILL after the queue's kill_delay; `-W force`, `-x`. */
export const qdel: Program = (call, cluster) => {
  const line = parse(call, "W:x");
  if (typeof line === "number") return line;
  let exitCode = 0;
  for (const id of line.rest) {
    const job = find(cluster, id);
    const error = job === undefined ? errors.unknownJob : job.state === "ended" ? errors.finished : undefined;
    if (error !== undefined) {
      call.err(`qdel: ${error[1]} ${job === undefined ? id : idOf(job)}\n`);
      exitCode = exitCodeOf(error);
    } else if (job !== undefined) {
      cluster.end(job, "cancelled");
      if (line.options.get("W")?.includes("force") === true) cluster.signal(job, "SIGKILL", "all");
    }
  }
  return exitCode;
};

/** qsig(1B): to all processes of a job that runs. */
export const qsig: Program = (call, cluster) => {
  const line = parse(call, "s:");
  if (typeof line === "number") return line;
  const word = line.options.get("s")?.at(-1) ?? "SIGTERM";
  const signal = signalNamed(word);
  let exitCode = 0;
  for (const id of line.rest) {
    const job = find(cluster, id);
    const error =
      job === undefined
        ? errors.unknownJob
        : signal === undefined
          ? ([15013, "Unknown/illegal signal name"] as const)
          : job.state === "ended"
            ? errors.finished
            : job.state === "running"
              ? undefined
              : errors.badState;
    if (error !== undefined) {
      call.err(`qsig: ${error[1]} ${id}\n`);
      exitCode = exitCodeOf(error);
    } else if (job !== undefined && signal !== undefined) cluster.signal(job, signal, "all");
  }
  return exitCode;
};

/** qselect(1B): ids of jobs that have not ended, by `-N`, `-u` and `-s`. */
export const qselect: Program = (call, cluster) => {
  const line = parse(call, "a:A:c:h:HJl:N:p:q:r:s:t:Tu:xP:");
  if (typeof line === "number") return line;
  const value = (letter: string) => line.options.get(letter)?.at(-1);
  for (const job of cluster.known) {
    if (job.state === "ended" && !line.options.has("x")) continue;
    if (value("N") !== undefined && value("N") !== job.spec.name) continue;
    if (value("u") !== undefined && value("u")?.split("@")[0] !== job.spec.userName) continue;
    if (value("s") !== undefined && value("s")?.includes(stateOf(job)) !== true) continue;
    call.out(`${idOf(job)}\n`);
  }
  return 0;
};
