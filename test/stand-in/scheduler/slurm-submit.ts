import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Cluster } from "./cluster.ts";
import { BadOption, type CommandLine, type Grammar, readCommandLine } from "./command-line.ts";
import type { Call, Program } from "./front-end.ts";
import type { JobOutput, JobSpec } from "./job.ts";
import { exitCodeOf } from "./slurm-words.ts";

/** The options of sbatch and salloc that change what they answer; the others of sbatch(1) are known and do nothing. */
export const submitGrammar: Grammar = {
  short: "A:aB:b:C:c:D:d:e:F:G:Hhi:IJ:kL:M:m:N:n:Oo:p:Qq:sS:t:uVvW:w:x:".replace("W:", "W"),
  abbreviations: true,
  long: {
    account: true,
    "cpus-per-task": true,
    begin: true,
    chdir: true,
    comment: true,
    constraint: true,
    cluster: true,
    clusters: true,
    contiguous: false,
    dependency: true,
    error: true,
    exclude: true,
    exclusive: "optional",
    export: true,
    gpus: true,
    gres: true,
    help: false,
    hold: false,
    immediate: "optional",
    input: true,
    "job-name": true,
    licenses: true,
    mem: true,
    "mem-per-cpu": true,
    "no-requeue": false,
    "no-shell": false,
    nodelist: true,
    nodes: true,
    ntasks: true,
    "ntasks-per-node": true,
    "open-mode": true,
    output: true,
    overcommit: false,
    parsable: false,
    partition: true,
    qos: true,
    quiet: false,
    requeue: false,
    reservation: true,
    signal: true,
    "test-only": false,
    time: true,
    usage: false,
    verbose: false,
    version: false,
    wait: false,
    "wait-all-nodes": true,
    wckey: true,
    wrap: true,
  },
};

const partitions = ["work", "short", "urgent", "closed"];
const cpus = 16;

/** The last value of an option by its long name or its letter. */
export function valueOf({ options }: CommandLine, long: string, letter = ""): string | undefined {
  return options.get(long)?.at(-1) ?? options.get(letter)?.at(-1);
}

/** Reads the command line; undefined when it is wrong, which has been said. */
export function readSubmission(call: Call): CommandLine | undefined {
  try {
    return readCommandLine(call.args, submitGrammar);
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    const what = error.word.startsWith("--")
      ? `unrecognized option '${error.word}'`
      : `invalid option -- '${error.word}'`;
    call.err(`${call.program}: ${what}\nTry "${call.program} --help" for more information\n`);
    return undefined;
  }
}

/** Why the controller refuses; undefined when it does not. */
function refusal(line: CommandLine): string | undefined {
  const partition = valueOf(line, "partition", "p");
  if (partition !== undefined && !partitions.includes(partition)) return "Invalid partition name specified";
  if (valueOf(line, "constraint", "C") !== undefined) return "Invalid feature specification";
  if (valueOf(line, "nodelist", "w") !== undefined) return "Invalid node name specified";
  if (valueOf(line, "reservation") !== undefined) return "Requested reservation is invalid";
  if (gpusOf(line) > 4) return "Requested node configuration is not available";
  return undefined;
}

/** What a job of the queue has from its command line: all but its script. */
export function describeJob(
  call: Call,
  cluster: Cluster,
  line: CommandLine,
  fail: (words: string) => void,
): Omit<JobSpec, "script" | "name"> | undefined {
  const time = valueOf(line, "time", "t");
  const minutes = time === undefined ? undefined : minutesOf(time);
  if (time !== undefined && minutes === undefined) {
    call.err(`${call.program}: error: Invalid --time specification\n`);
    return undefined;
  }
  const refused = refusal(line);
  if (refused?.startsWith("Invalid partition") === true) {
    call.err(`${call.program}: error: invalid partition specified: ${valueOf(line, "partition", "p") ?? ""}\n`);
  }
  const queue = valueOf(line, "partition", "p") ?? "work";
  const directory = resolve(call.workingDirectory, valueOf(line, "chdir", "D") ?? ".");
  const limit = queue === "short" ? Math.min(minutes ?? 1, 1) : minutes;
  const job = {
    userName: call.userName,
    interpreter: [],
    scriptArguments: line.rest.slice(1),
    environment: call.environment,
    workingDirectory: directory,
    ...outputOf(line, directory),
    queue,
    timeLimitSeconds: limit === undefined ? undefined : limit * 60,
    held: heldBy(line, queue, minutes),
    requeues: !line.options.has("no-requeue"),
    gpus: gpusOf(line),
  };
  if (refused === undefined) return job;
  const leaves = leftBy[refused];
  const name = valueOf(line, "job-name", "J") ?? line.rest[0]?.split("/").at(-1) ?? "";
  if (leaves !== undefined) cluster.reject({ ...job, name, script: "" }, leaves);
  fail(refused);
  return undefined;
}

/** Some refusals use up a job's number, and one leaves a job that has failed. */
const leftBy: Readonly<Record<string, "a record" | "nothing">> = {
  "Invalid feature specification": "nothing",
  "Requested reservation is invalid": "nothing",
  "Requested node configuration is not available": "a record",
};

function outputOf(line: CommandLine, directory: string): { output: JobOutput; error: JobOutput | undefined } {
  const mode = valueOf(line, "open-mode")?.startsWith("a") === true ? "append" : "truncate";
  const at = (path: string): JobOutput => ({ path: resolve(directory, path), mode, when: "directly" });
  const error = valueOf(line, "error", "e");
  return {
    output: at(valueOf(line, "output", "o") ?? "slurm-%j.out"),
    error: error === undefined ? undefined : at(error),
  };
}

function heldBy(line: CommandLine, queue: string, minutes: number | undefined): string | undefined {
  if (queue === "closed") return "PartitionDown";
  if (line.options.has("hold") || line.options.has("H")) return "JobHeldUser";
  if (Number.parseInt(valueOf(line, "nodes", "N") ?? "1", 10) > 1) return "PartitionNodeLimit";
  if (Number.parseInt(valueOf(line, "ntasks", "n") ?? "1", 10) > cpus) return "PartitionConfig";
  if (queue === "short" && minutes !== undefined && minutes > 1) return "PartitionTimeLimit";
  return valueOf(line, "begin", "b") === undefined ? undefined : "BeginTime";
}

function gpusOf(line: CommandLine): number {
  const gres = /^gpu(?::[a-z0-9]+)??(?::(\d+))?$/.exec(valueOf(line, "gres") ?? "");
  if (gres !== null) return Number(gres[1] ?? 1);
  return Number(valueOf(line, "gpus", "G") ?? 0);
}

/** `5`, `5:00`, `1:05:00`, `1-0`; in minutes, rounded up. */
function minutesOf(text: string): number | undefined {
  const [, days, rest = ""] = /^(?:(\d+)-)?([\d:]+)$/.exec(text) ?? [];
  if (rest === "") return undefined;
  const parts = rest.split(":").map(Number);
  const [a = 0, b = 0, c = 0] = parts;
  if (days !== undefined) return Number(days) * 1440 + a * 60 + b + c / 60;
  if (parts.length === 3) return a * 60 + b + Math.ceil(c / 60);
  return a + Math.ceil(b / 60);
}

/** sbatch(1). */
export const sbatch: Program = async (call, cluster) => {
  const line = readSubmission(call);
  if (line === undefined) return 255;
  const script = readScript(call, line);
  if (script === undefined) return 1;
  let refused = false;
  const only = line.options.has("test-only");
  const described = describeJob(call, cluster, line, (words) => {
    refused = true;
    call.err(only ? `allocation failure: ${words}\n` : `sbatch: error: Batch job submission failed: ${words}\n`);
  });
  if (described === undefined) return refused ? 1 : 255;
  if (only) {
    const number = cluster.jobs.length + 1;
    const start = new Date().toISOString().slice(0, 19);
    call.err(
      `sbatch: Job ${number} to start at ${start} using 1 processors on nodes ${cluster.nodeName} in partition ${described.queue}\n`,
    );
    return 0;
  }
  const named = valueOf(line, "job-name", "J");
  const name = named ?? (line.options.has("wrap") ? "wrap" : (line.rest[0]?.split("/").at(-1) ?? "sbatch"));
  const job = cluster.submit({ ...described, name, script });
  if (line.options.has("parsable")) call.out(`${job.number}\n`);
  else if (!line.options.has("quiet") && !line.options.has("Q")) call.out(`Submitted batch job ${job.number}\n`);
  if (!line.options.has("wait") && !line.options.has("W")) return 0;
  await cluster.ended(job);
  const [code, signal] = exitCodeOf(job);
  return signal === 0 ? code : 128 + signal;
};

function readScript(call: Call, line: CommandLine): string | undefined {
  const wrapped = valueOf(line, "wrap");
  if (wrapped !== undefined) return `#!/bin/sh\n# This script was created by sbatch --wrap.\n\n${wrapped}\n`;
  const path = line.rest[0] ?? "";
  let text: string;
  try {
    text = readFileSync(resolve(call.workingDirectory, path), "utf8");
  } catch {
    call.err(`sbatch: error: Unable to open file ${path}\n`);
    return undefined;
  }
  const wrong = whatIsWrong(text);
  for (const words of wrong) call.err(`sbatch: error: ${words}\n`);
  return wrong.length === 0 ? text : undefined;
}

function whatIsWrong(text: string): string[] {
  if (!text.startsWith("#!")) {
    return [
      "This does not look like a batch script.  The first",
      "line must start with #! followed by the path to an interpreter.",
      "For instance: #!/bin/sh",
    ];
  }
  return text.includes("\r\n")
    ? ["Batch script contains DOS line breaks (\\r\\n)", "instead of expected UNIX line breaks (\\n)."]
    : [];
}
