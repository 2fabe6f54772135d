import type { Cluster } from "./cluster.ts";
import { BadOption, type CommandLine, type Grammar, readCommandLine } from "./command-line.ts";
import { type Call, type Program, signalNamed } from "./front-end.ts";
import type { Job } from "./job.ts";
import { exitCodeOf, exitReasonOf, pendReasonOf, stateOf } from "./lsf-words.ts";

function parse(call: Call, grammar: Grammar): CommandLine | undefined {
  try {
    return readCommandLine(call.args, { ...grammar, singleDash: true });
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    call.err(`${call.program}: ${error.word}: Illegal option\n`);
    return undefined;
  }
}

/** bjobs(1), with `-o` and `-json`. */
export const bjobs: Program = (call, cluster) => {
  const line = parse(call, {
    short: "aAdJ:lm:No:pP:q:rsu:wWxX",
    long: { json: false, noheader: false, app: true },
  });
  if (line === undefined) return 255;
  const fields = (line.options.get("o")?.at(-1) ?? "jobid stat")
    .split(/\s+/)
    .filter((field) => !field.startsWith("delimiter"));
  const found: (Job | string)[] =
    line.rest.length > 0 ? line.rest.map((id) => find(cluster, id) ?? id) : select(cluster, call, line);
  const missing = found.some((job) => typeof job === "string");
  const json = line.options.has("json");
  if (found.length === 0 && !json) {
    const name = line.options.get("J")?.at(-1);
    call.err(name === undefined ? "No unfinished job found\n" : `Job <${name}> is not found\n`);
    return 255;
  }
  if (json) {
    const records = found.map((job) =>
      typeof job === "string" ? { JOBID: job, ERROR: `Job <${job}> is not found` } : recordOf(job, fields, cluster),
    );
    call.out(`${JSON.stringify({ COMMAND: "bjobs", JOBS: records.length, RECORDS: records }, undefined, 2)}\n`);
    return missing ? 255 : 0;
  }
  if (!line.options.has("noheader")) call.out(`${fields.join(" ").toUpperCase()}\n`);
  for (const job of found) {
    if (typeof job === "string") call.err(`Job <${job}> is not found\n`);
    else
      call.out(
        `${Object.values(recordOf(job, fields, cluster))
          .map((value) => value || "-")
          .join(" ")}\n`,
      );
  }
  return missing ? 255 : 0;
};

function find(cluster: Cluster, id: string): Job | undefined {
  return cluster.known.find((job) => String(job.number) === id);
}

function select(cluster: Cluster, call: Call, line: CommandLine): Job[] {
  const name = line.options.get("J")?.at(-1);
  const user = line.options.get("u")?.at(-1);
  return cluster.known.filter(
    (job) =>
      (line.options.has("a") || job.state !== "ended") &&
      (name === undefined || job.spec.name === name) &&
      (user === undefined || user === "all" || user === call.userName),
  );
}

function recordOf(job: Job, fields: readonly string[], cluster: Cluster): Record<string, string> {
  return Object.fromEntries(
    fields.map((field) => [field.split(":")[0]?.toUpperCase() ?? "", valueOf(job, field, cluster)]),
  );
}

function valueOf(job: Job, field: string, cluster: Cluster): string {
  switch (field.split(":")[0]) {
    case "jobid":
      return String(job.number);
    case "stat":
      return stateOf(job);
    case "job_name":
      return job.spec.name;
    case "queue":
      return job.spec.queue;
    case "user":
      return job.spec.userName;
    case "exit_code":
      return job.state === "ended" && exitCodeOf(job) !== 0 ? String(exitCodeOf(job)) : "";
    case "exit_reason":
      return job.state === "ended" ? exitReasonOf(job) : "";
    case "pend_reason":
      return pendReasonOf(job);
    case "estimated_start_time":
      return job.estimatedStart === undefined ? "" : new Date(job.estimatedStart).toString().slice(4, 21);
    case "exec_host":
      return job.state === "pending" || job.end?.ran === false ? "" : cluster.nodeName;
    default:
      return "";
  }
}

/** bkill(1): SIGINT, SIGTERM and SIGKILL one after the other, or `-s SIGNAL`. */
export const bkill: Program = (call, cluster) => {
  const line = parse(call, { short: "lbJ:m:q:rs:u:C:", long: { app: true, stat: true } });
  if (line === undefined) return 255;
  let failed = false;
  const complain = (words: string) => {
    failed = true;
    call.err(`${words}\n`);
  };
  const name = line.options.get("J")?.at(-1);
  const all = line.rest.includes("0");
  const ids = all
    ? cluster.known
        .filter((job) => job.state !== "ended" && (name === undefined || job.spec.name === name))
        .map(({ number }) => String(number))
    : line.rest;
  if (ids.length === 0) complain(name === undefined ? "Job ID is required" : `Job <${name}>: No matching job found`);
  const word = line.options.get("s")?.at(-1);
  for (const id of ids) {
    const job = find(cluster, id);
    if (job === undefined) complain(`Job <${id}>: No matching job found`);
    else if (job.state === "ended") complain(`Job <${id}>: Job has already finished`);
    else if (word === undefined) {
      cluster.end(job, "cancelled");
      call.out(`Job <${id}> is being terminated\n`);
    } else send(call, cluster, job, word, complain);
  }
  return failed ? 255 : 0;
};

function send(call: Call, cluster: Cluster, job: Job, word: string, complain: (words: string) => void): void {
  const signal = signalNamed(word);
  if (signal === undefined) return complain(`${word}: Illegal signal value`);
  if (job.state === "pending" && signal !== "SIGKILL") {
    return complain(`Job <${job.number}>: Job has not started yet`);
  }
  if (job.state === "pending") cluster.end(job, "cancelled");
  else cluster.signal(job, signal, "all");
  call.out(`Job <${job.number}> is being signaled\n`);
}
