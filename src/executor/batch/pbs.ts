import * as v from "valibot";
import { readJson } from "./json-answer.ts";
import {
  type Answer,
  type CallScheduler,
  type End,
  type QueueState,
  readSubmitted,
  said,
  type Scheduler,
  type SchedulerId,
  type Submitted,
} from "./scheduler.ts";
import { softSignal } from "./soft-signal.ts";

/** PBS, by its commands (qsub(1B), qstat(1B), qselect(1B), qsig(1B), qdel(1B); facts/schedulers.md, PBS). */
export const pbs: Scheduler = {
  title: "PBS",
  ownArguments: {
    long: ["version"],
    othersLong: [],
    // Name, output, its joining, keeping and removing, shell, directives, interactive, array, no id printed.
    short: "NoejkRSCIXGJz",
    shortWithValue: "aAclmMpPqruvW",
    longWithoutValue: [],
    // `-W block=true` waits; every attribute that an option sets can be set with -W, too.
    ownValues: {
      W: /\b(?:block|interactive|Job_Name|Output_Path|Error_Path|Join_Path|Keep_Files|Shell_Path_List|Remove_Files|array_indices_submitted|sandbox)(?=\s*=)/i,
    },
  },
  // What begins a line of the script that qsub reads as options (qsub(1B), -C).
  ownVariables: ["PBS_DPREFIX"],
  variablePrefixes: ["PBS_"],
  nodeList: '{ sort -u "$PBS_NODEFILE" 2>/dev/null || hostname; } | paste -sd , -',
  // pbs_cgroups.PY of OpenPBS: pbs_jobs.service/jobid/ID.
  memoryGroup: "/${PBS_JOBID:-none}/",

  // biome-ignore lint/suspicious/noTemplateCurlyInString: sh expands it
  ownId: "${PBS_JOBID-}",

  async submit({ name, jobFile, logFile, userArguments }, call) {
    // Without -f, qsub leaves a process behind that serves the next qsub.
    const ours = ["-f", "-N", name, "-j", "oe", "-o", logFile, "-S", "/bin/sh"];
    return readPbsSubmission(await call(["qsub", ...userArguments, ...ours, jobFile]));
  },

  async ask(ids, call) {
    const { jobs, answer } = await askQstat(ids, [], call);
    const states = statesOf(jobs);
    const finished = ids.filter((id) => !states.has(id) && isFinished(id, answer.stderr));
    if (finished.length > 0) {
      const history = await askQstat(finished, ["-x"], call);
      for (const [id, state] of statesOf(history.jobs)) states.set(id, state);
    }
    for (const id of ids) if (!states.has(id)) states.set(id, { kind: "unknown", said: lineOn(id, answer) });
    return states;
  },

  find: (name, userName, call) => select(["-u", userName, "-N", name], call),

  // Without a history it is an error.
  findEnded: (name, userName, call) => select(["-x", "-u", userName, "-N", name], call),

  readOwnId: (text) => toIds(text)[0],

  async identify(id, name, userName, call) {
    const { jobs, answer } = await askQstat([id], [], call);
    const known =
      jobs.get(id) ?? (isFinished(id, answer.stderr) ? (await askQstat([id], ["-x"], call)).jobs.get(id) : undefined);
    if (known === undefined) return "unknown";
    return known.Job_Name === name && known.Job_Owner.split("@")[0] === userName ? "ours" : "another";
  },

  async terminate(id, call) {
    await call(["qsig", "-s", softSignal, id]);
  },

  async cancel(id, call) {
    await call(["qdel", id]);
  },
};

async function select(options: readonly string[], call: CallScheduler): Promise<SchedulerId[] | undefined> {
  const answer = await call(["qselect", ...options]);
  return answer.exitCode === 0 ? answer.stdout.split(/\s+/).flatMap(toIds) : undefined;
}

/** Words with which PBS says that it cannot be reached, or cannot now: another try may do better. */
const away =
  /cannot connect|Connection (?:refused|timed out|reset)|errno=150(?:10|33|60)\b|No free connections|shutting down|server internal error|System error|timed? ?out|Failed to load configuration|pbs_iff|No default server|Invalid credential|Expired credential|End of File/i;

/** What qsub answered: the id alone. */
export function readPbsSubmission(answer: Answer): Submitted {
  return readSubmitted(answer, (line) => toIds(line)[0], away);
}

type Records = ReadonlyMap<SchedulerId, PbsJob>;

/**
 * What qstat says in JSON, or in lines: some have no JSON, and others write a document that is none. With it comes the answer
 * that it was read from, whose standard error tells of the other ids.
 */
async function askQstat(
  ids: readonly SchedulerId[],
  options: readonly string[],
  call: CallScheduler,
): Promise<{ readonly jobs: Records; readonly answer: Answer }> {
  const answer = await call(["qstat", ...options, "-f", "-F", "json", ...ids]);
  const jobs = readDocument(answer.stdout);
  if (jobs !== undefined) return { jobs: recordsOf(jobs, ids), answer };
  const silent = answer.stdout.trim() === "" && !/invalid option/i.test(answer.stderr);
  if (silent || answer.exitCode === undefined) return { jobs: new Map(), answer };
  const lines = await call(["qstat", ...options, "-f", ...ids]);
  return { jobs: recordsOf(readLines(lines.stdout), ids), answer: lines };
}

function recordsOf(jobs: ReadonlyMap<string, PbsJob>, ids: readonly SchedulerId[]): Records {
  const records = new Map<SchedulerId, PbsJob>();
  for (const [name, job] of jobs) {
    const id = ids.find((each) => each === name || numberOf(each) === numberOf(name));
    if (id !== undefined) records.set(id, job);
  }
  return records;
}

function statesOf(jobs: Records): Map<SchedulerId, QueueState> {
  return new Map([...jobs].map(([id, job]) => [id, readPbsState(job)]));
}

const text = v.pipe(
  v.union([v.string(), v.number()]),
  v.transform((value) => String(value)),
);
const jobSchema = v.object({
  Job_Name: v.optional(text, ""),
  Job_Owner: v.optional(text, ""),
  job_state: v.string(),
  comment: v.optional(text),
  Exit_status: v.optional(
    v.pipe(
      text,
      v.regex(/^-?\d{1,6}$/),
      v.transform((value) => Number(value)),
    ),
  ),
  exec_host: v.optional(text),
  estimated: v.optional(v.object({ start_time: v.optional(text) })),
});
type PbsJob = v.InferOutput<typeof jobSchema>;

/** `Jobs` of the document; empty when it knows of none, undefined when this is no document. */
function readDocument(stdout: string): ReadonlyMap<string, PbsJob> | undefined {
  const document = v.safeParse(v.object({ Jobs: v.optional(v.record(v.string(), v.unknown()), {}) }), readJson(stdout));
  return document.success ? readRecords(Object.entries(document.output.Jobs)) : undefined;
}

/** A record that cannot be read says nothing. */
function readRecords(records: readonly (readonly [string, unknown])[]): ReadonlyMap<string, PbsJob> {
  return new Map(
    records.flatMap(([name, record]) => {
      const parsed = v.safeParse(jobSchema, record);
      return parsed.success ? [[name, parsed.output] as const] : [];
    }),
  );
}

/** `Job Id: 123.server`, then `    name = value`; a long value goes on in the next line, behind a tab. */
function readLines(stdout: string): ReadonlyMap<string, PbsJob> {
  const jobs = stdout.replaceAll(/\r?\n\t/g, "").split(/^Job Id: */m);
  return readRecords(
    jobs.flatMap((job) => {
      const [name = "", ...lines] = job.split("\n");
      const attributes = lines.flatMap((line) => {
        const [, key = "", value = ""] = /^\s+([A-Za-z_.]+) = (.*)$/.exec(line) ?? [];
        return key === "" ? [] : [[key, value] as const];
      });
      const flat = Object.fromEntries(attributes);
      const estimate = flat["estimated.start_time"];
      return name.trim() === ""
        ? []
        : [
            [
              name.trim(),
              { ...flat, ...(estimate === undefined ? {} : { estimated: { start_time: estimate } }) },
            ] as const,
          ];
    }),
  );
}

const waiting: Readonly<Record<string, string>> = {
  H: "held",
  W: "waits for its time",
  M: "moved to another server",
};

/** `job_state` (pbs_job_attributes(7B)). */
function readPbsState(job: PbsJob): QueueState {
  const { job_state: state, comment, exec_host: hosts } = job;
  switch (state) {
    case "Q":
    case "T":
    case "M":
    case "H":
    case "W": {
      const reason = comment?.replace(/^Not Running: */, "").trim();
      const start = job.estimated?.start_time;
      return {
        kind: "pending",
        reason: reason === undefined || reason === "" ? waiting[state] : reason,
        estimatedStart: start === "UNKNOWN" ? undefined : start,
      };
    }
    case "R":
    case "S":
    case "U":
    case "B":
    case "E":
      return { kind: "running", nodes: hosts === undefined ? undefined : nodesOf(hosts) };
    case "F":
    case "X":
      return readEnd(job);
    default:
      return { kind: "unknown", said: `PBS says that the job is in the state ${state.slice(0, 40)}` };
  }
}

/** `node1/0*4+node2/0*4` names a node for each of its chunks. */
function nodesOf(hosts: string): string {
  return [...new Set(hosts.split("+").map((chunk) => chunk.replace(/\/.*$/, "")))].join(",");
}

/** What PBS itself ended, by the number that its node reports (src/include/job.h of OpenPBS). */
const ownEnds: Readonly<Record<number, End>> = {
  [-11]: "node-failure",
  [-14]: "node-failure",
  [-20]: "node-failure",
  [-26]: "memory-limit",
  [-27]: "memory-limit",
  [-28]: "time-limit",
  [-29]: "time-limit",
};
const deletedStatus = 256 + 15;

function readEnd({ Exit_status: status, comment = "" }: PbsJob): QueueState {
  const words = [status === undefined ? "" : `Exit_status ${status}`, comment.trim()].filter((word) => word !== "");
  return {
    kind: "ended",
    end: endOf(status, comment),
    said: words.length === 0 ? "deleted before it ran" : words.join(", "),
    exitCode: exitCodeOf(status),
  };
}

function endOf(status: number | undefined, comment: string): End {
  if (/exceeded (?:resource|limit).*walltime|walltime.*exceeded/i.test(comment)) return "time-limit";
  if (/exceeded (?:resource|limit).*\bv?mem\b/i.test(comment)) return "memory-limit";
  if (status === undefined || status === deletedStatus) return "cancelled";
  if (status < 0) return ownEnds[status] ?? "other";
  return status === 0 ? "completed" : "failed";
}

/** Above 256 it is 256 and the number of a signal; below 0 it is no exit code. */
function exitCodeOf(status: number | undefined): number | undefined {
  if (status === undefined || status < 0) return undefined;
  return status > 256 ? 128 + (status - 256) : status;
}

function isFinished(id: SchedulerId, stderr: string): boolean {
  return stderr.split("\n").some((line) => line.includes("has finished") && namesJob(line, id));
}

/** What a program said of that job, or of all. */
function lineOn(id: SchedulerId, answer: Answer): string {
  return answer.stderr.split("\n").find((line) => namesJob(line, id)) ?? said(answer);
}

function namesJob(line: string, id: SchedulerId): boolean {
  return line.split(/[\s,]+/).some((word) => word === id || (/^\d/.test(word) && numberOf(word) === numberOf(id)));
}

function numberOf(id: string): string {
  return id.split(".")[0] ?? id;
}

/** `123.server`. */
function toIds(word: string): SchedulerId[] {
  return isPbsId(word) ? [word] : [];
}

function isPbsId(word: string): word is SchedulerId {
  return /^[0-9]{1,18}(?:\.[A-Za-z0-9][A-Za-z0-9._-]{0,254})?$/.test(word);
}
