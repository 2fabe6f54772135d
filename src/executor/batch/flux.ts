import * as v from "valibot";
import { readJson } from "./json-answer.ts";
import { localTime } from "./local-time.ts";
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

/**
 * Flux, by its commands (flux-batch(1), flux-jobs(1), flux-job(1), flux-cancel(1); facts/schedulers.md, Flux). The job is an
 * instance of Flux of its own, so that `flux run` in the script uses what the job was given.
 */
export const flux: Scheduler = {
  title: "Flux",
  ownArguments: {
    // `-o` is an option of the job shell; the output file has a long name only.
    long: words("job-name output error input wrap dry-run quiet help list-plugins bg"),
    // Newer versions take no beginnings of options.
    othersLong: words("exclusive env env-file env-remove dependency dump"),
    short: "h",
    shortWithValue: "BqtoSncgN",
    longWithoutValue: words("exclusive unbuffered label-io verbose"),
  },
  variablePrefixes: ["FLUX_"],
  // The node's own login may not know where Flux is.
  nodeList: "flux getattr hostlist || hostname",
  // The unit of a job on a node, with [exec] service = "sdexec" of flux-core.
  memoryGroup: "/imp-shell-",
  // What the broker says of every script that fails.
  ordinary: /^.*\bbroker\.err\[\d+\]: rc2\.0: .* Exited \(rc=\d+\).*\n?/gm,

  // The script is no job, but the first program of an instance that is one (broker/runat.c of flux-core); older ones tell it by an attribute.
  ownId: "${FLUX_ENCLOSING_ID:-$(flux getattr jobid 2>/dev/null)}",

  async submit({ name, jobFile, logFile, userArguments }, call) {
    // The last word on an option counts, and the user may have left the value of one out.
    const ours = [...slots(userArguments), `--job-name=${name}`, `--output=${logFile}`];
    return readFluxSubmission(await call(["flux", "batch", ...userArguments, ...ours, jobFile]));
  },

  async ask(ids, call) {
    const answer = await call(["flux", "jobs", "--json", ...ids]);
    const records = readJobs(answer.stdout) ?? [];
    const states = new Map<SchedulerId, QueueState>();
    for (const id of ids) {
      const record = records.find((each) => isSame(each.jobid, id)) ?? (ids.length === 1 ? records[0] : undefined);
      const unknown = {
        kind: "unknown",
        said: answer.exitCode === 0 ? `Flux does not know ${id}` : said(answer),
      } as const;
      states.set(id, record === undefined ? unknown : readFluxState(record));
    }
    return states;
  },

  find: (name, userName, call) => findByName(name, userName, [], call),

  findEnded: (name, userName, call) => findByName(name, userName, ["-a"], call),

  readOwnId: (text) => (text.includes("/") ? undefined : toIds(text)[0]),

  async identify(id, name, userName, call) {
    const answer = await call(["flux", "jobs", "--json", id]);
    const record = readJobs(answer.stdout)?.find((each) => isSame(each.jobid, id));
    if (answer.exitCode !== 0 || record === undefined) return "unknown";
    return record.name === name && record.username === userName ? "ours" : "another";
  },

  async terminate(id, call) {
    // The job's broker gets it, and passes SIGHUP on to the job file and its process group.
    await call(["flux", "job", "kill", "--signal=SIGTERM", id]);
  },

  async cancel(id, call) {
    await call(["flux", "cancel", id]);
  },

  steps: {
    run(allocation, name, jobFile) {
      // Bound to no core: what the script starts with `flux run` is.
      const options = ["--ntasks=1", "--setopt=cpu-affinity=off", "--setopt=gpu-affinity=off", `--job-name=${name}`];
      return {
        argv: ["flux", "proxy", allocation, "flux", "run", ...options, "/bin/sh", jobFile],
        environment: {},
      };
    },
    async find(name, userName, call) {
      const answer = await call(["flux", "jobs", "--json", "--recursive", `--user=${userName}`]);
      if (answer.exitCode !== 0) return undefined;
      return readJobs(answer.stdout)?.flatMap(({ jobid: instance, jobs = [] }) =>
        jobs.flatMap(({ jobid, name: itsName }) => (itsName === name ? toIds(`${instance}/${jobid}`) : [])),
      );
    },
    async terminate(step, call) {
      const [instance, id] = partsOf(step);
      await call(["flux", "proxy", instance, "flux", "job", "kill", "--signal=SIGTERM", id]);
    },
    async cancel(step, call) {
      const [instance, id] = partsOf(step);
      await call(["flux", "proxy", instance, "flux", "cancel", id]);
    },
  },
};

async function findByName(
  name: string,
  userName: string,
  options: readonly string[],
  call: CallScheduler,
): Promise<SchedulerId[] | undefined> {
  const answer = await call(["flux", "jobs", "--json", ...options, `--name=${name}`, `--user=${userName}`]);
  if (answer.exitCode !== 0) return undefined;
  // Two versions ago the name was no filter, but it has always been shown.
  return readJobs(answer.stdout)?.flatMap(({ jobid, name: itsName }) => (itsName === name ? toIds(jobid) : []));
}

function words(text: string): string[] {
  return text.split(" ");
}

/** Flux wants to be told how large the job is. One slot is the least, and what other schedulers give. */
function slots(userArguments: readonly string[]): string[] {
  const told = userArguments.some((word) => /^(?:--n(?:slots|odes)(?:=|$)|-[xul]*[nN])/.test(word));
  return told ? [] : ["--nslots=1"];
}

/** Words with which Flux says that it cannot be reached, or cannot now: another try may do better. */
const away =
  /Unable to connect|broker socket|Connection (?:refused|timed out|reset)|timed out|Broken pipe|Function not implemented|not running|shut ?down|Resource temporarily unavailable|lost connection|No such file or directory: '?\/run/i;

/** What `flux batch` answered: the id alone, in UTF-8 or, where the locale has none, in ASCII. */
export function readFluxSubmission(answer: Answer): Submitted {
  return readSubmitted(answer, (line) => toIds(line)[0], away);
}

const unset = v.literal("");
const recordSchema = v.object({
  jobid: v.string(),
  name: v.optional(v.string(), ""),
  username: v.optional(v.string(), ""),
  state: v.string(),
  result: v.optional(v.string(), ""),
  returncode: v.optional(v.union([v.number(), unset]), ""),
  nodelist: v.optional(v.string(), ""),
  urgency: v.optional(v.union([v.number(), unset]), ""),
  dependencies: v.optional(v.array(v.string()), []),
  exception: v.optional(v.object({ type: v.optional(v.string(), ""), note: v.optional(v.string(), "") }), {}),
  annotations: v.optional(
    v.object({
      sched: v.optional(v.object({ t_estimate: v.optional(v.number()), reason_pending: v.optional(v.string()) }), {}),
    }),
    {},
  ),
  // With --recursive: those of the job's own instance.
  jobs: v.optional(v.array(v.object({ jobid: v.string(), name: v.optional(v.string(), "") }))),
});
type FluxJob = v.InferOutput<typeof recordSchema>;

/** One job where one id was asked for, `jobs` otherwise. A record that cannot be read says nothing; no document: undefined. */
function readJobs(text: string): FluxJob[] | undefined {
  const document = readJson(text);
  if (document === undefined) return undefined;
  const list = v.safeParse(v.object({ jobs: v.array(v.unknown()), jobid: v.optional(v.undefined()) }), document);
  return (list.success ? list.output.jobs : [document]).flatMap((record) => {
    const parsed = v.safeParse(recordSchema, record);
    return parsed.success ? [parsed.output] : [];
  });
}

const ends: Readonly<Record<string, End>> = {
  COMPLETED: "completed",
  FAILED: "failed",
  CANCELED: "cancelled",
  TIMEOUT: "time-limit",
};

/** A record of `flux jobs --json` (flux-jobs(1), JOB STATUS). */
function readFluxState(job: FluxJob): QueueState {
  const { state, result, nodelist, exception } = job;
  switch (state) {
    case "DEPEND":
    case "PRIORITY":
    case "SCHED":
      return { kind: "pending", reason: pendingReason(job), estimatedStart: estimateOf(job) };
    case "RUN":
    case "CLEANUP":
      return { kind: "running", nodes: nodelist === "" ? undefined : nodelist };
    case "INACTIVE": {
      const note = [exception.type, exception.note].filter((word) => word !== "").join(": ");
      const end = Object.hasOwn(ends, result) ? ends[result] : undefined;
      return {
        kind: "ended",
        end: end === "failed" && exception.type.startsWith("node") ? "node-failure" : (end ?? "other"),
        said: note === "" ? result : `${result} (${note})`,
        exitCode: exitCodeOf(job),
      };
    }
    default:
      return { kind: "unknown", said: `Flux says that the job is in the state ${state.slice(0, 40)}` };
  }
}

function pendingReason({ state, urgency, dependencies, annotations }: FluxJob): string | undefined {
  if (state === "DEPEND") return dependencies.length === 0 ? "depend" : `depends on ${dependencies.join(", ")}`;
  if (urgency === 0) return "held";
  return annotations.sched?.reason_pending ?? (state === "PRIORITY" ? "priority-wait" : undefined);
}

function estimateOf({ annotations }: FluxJob): string | undefined {
  const seconds = annotations.sched?.t_estimate;
  return seconds === undefined ? undefined : localTime(new Date(seconds * 1000));
}

/** Negative for a signal; -128 for a job that was cancelled before it began. */
function exitCodeOf({ returncode }: FluxJob): number | undefined {
  if (returncode === "" || returncode === -128) return undefined;
  return returncode < 0 ? 128 - returncode : returncode;
}

/** `ƒCUfSXq`, and a step as `ƒCUfSXq/ƒAbc`. Both beginnings mean the same id (RFC 19, F58). */
const form = /^[\u0192f][1-9A-HJ-NP-Za-km-z]{1,12}(?:\/[\u0192f][1-9A-HJ-NP-Za-km-z]{1,12})?$/u;

function toIds(text: string): SchedulerId[] {
  return isFluxId(text) ? [text] : [];
}

function isFluxId(text: string): text is SchedulerId {
  return form.test(text);
}

function isSame(one: string, other: string): boolean {
  return one.slice(1) === other.slice(1);
}

function partsOf(step: SchedulerId): [instance: string, id: string] {
  const [instance = "", id = ""] = step.split("/");
  return [instance, id];
}
