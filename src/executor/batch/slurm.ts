import { JacamarError } from "../../error/error.ts";
import {
  type Answer,
  type CallScheduler,
  type End,
  type Identity,
  type QueueState,
  readSubmitted,
  said,
  type Scheduler,
  type SchedulerId,
  type Submitted,
} from "./scheduler.ts";

/** Slurm, by its commands (sbatch(1), squeue(1), scontrol(1), scancel(1), sacct(1); facts/schedulers.md, Slurm). */
export const slurm: Scheduler = {
  title: "Slurm",
  ownArguments: {
    // One CI job is one job: no array. What only prints, submits nothing.
    long: words("job-name output error input wait wrap parsable array test-only help usage version"),
    othersLong: ["wait-all-nodes", "verbose"],
    short: "JoeiWahuV",
    shortWithValue: "ABCDFGLMNSbcdmnpqtwx",
    longWithoutValue: words(
      "consolidate-segments contiguous exclusive get-user-env hold ignore-pbs nice no-kill no-requeue oom-kill-step overcommit oversubscribe propagate quiet reboot requeue resv-ports spread-job stepmgr use-min-nodes verbose",
    ),
  },
  // INPUT ENVIRONMENT VARIABLES of sbatch(1). An array would be several jobs, and to wait takes as long as the job.
  ownVariables: words(
    "SBATCH_ARRAY_INX SBATCH_ERROR SBATCH_INPUT SBATCH_JOB_NAME SBATCH_OPEN_MODE SBATCH_OUTPUT SBATCH_TEST_ONLY SBATCH_WAIT",
  ),
  variablePrefixes: ["SLURM_", "SLURMD_", "SBATCH_", "SALLOC_", "SRUN_"],
  nodeList: 'echo "${SLURM_JOB_NODELIST-}"',
  // src/plugins/cgroup/ of Slurm: job_ID/step_batch/… below a directory of its own.
  memoryGroup: "/job_${SLURM_JOB_ID:-none}/",

  // biome-ignore lint/suspicious/noTemplateCurlyInString: sh expands it
  ownId: "${SLURM_JOB_ID-}",

  async submit({ name, jobFile, logFile, userArguments }, call) {
    const ours = [`--job-name=${name}`, `--output=${literalPath(logFile)}`, "--open-mode=append"];
    return readSubmission(await call(["sbatch", "--parsable", ...ours, ...userArguments, jobFile]));
  },

  async ask(ids, call) {
    const states = new Map<SchedulerId, QueueState>();
    for (const [cluster, ofCluster] of byCluster(ids)) {
      for (const [id, state] of await askCluster(cluster, ofCluster, call)) states.set(id, state);
    }
    return states;
  },

  find: (name, userName, call) => findByName(name, userName, notEnded, call),

  async findEnded(name, userName, call) {
    const known = await findByName(name, userName, "all", call);
    if (known === undefined || known.length > 0) return known;
    // The accounting remembers for longer than the controller, where there is one.
    const options = ["--noheader", "--parsable2", "--allocations", "--format=JobIDRaw", "--starttime=now-1hours"];
    const answer = await askAccounting([...options, `--user=${userName}`, `--name=${name}`], call);
    return answer.exitCode === 0 ? lines(answer.stdout).flatMap((line) => toSlurmId(line.trim()) ?? []) : known;
  },

  // A job does not know whether it was submitted with --clusters.
  readOwnId: (text) => (text.includes(";") ? undefined : toSlurmId(text)),

  async identify(id, name, userName, call) {
    const options = ["--noheader", "--states=all", `--jobs=${numberOf(id)}`, "--format=%A|%u|%j"];
    const answer = await call(["squeue", ...clusterOption(clusterOf(id)), ...options]);
    const row = lines(answer.stdout).find((line) => line.startsWith(`${numberOf(id)}|`));
    if (answer.exitCode === 0 && row !== undefined) return whose(row.split("|").slice(1), userName, name);
    if (answer.exitCode !== 0 && !/Invalid job id/i.test(answer.stderr)) return "unknown";
    const fields = ["--noheader", "--parsable2", "--allocations", "--format=User,JobName"];
    const history = await askAccounting([...clusterOption(clusterOf(id)), ...fields, `--jobs=${numberOf(id)}`], call);
    const last = history.exitCode === 0 ? lines(history.stdout).at(-1) : undefined;
    return last === undefined ? "unknown" : whose(last.split("|"), userName, name);
  },

  async terminate(id, call) {
    await call(["scancel", ...clusterOption(clusterOf(id)), "--signal=TERM", "--batch", numberOf(id)]);
  },

  async cancel(id, call) {
    await call(["scancel", ...clusterOption(clusterOf(id)), numberOf(id)]);
  },

  steps: {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Bash expands it
    memoryGroup: "/job_${SLURM_JOB_ID:-none}/step_${SLURM_STEP_ID:-none}/",
    run(allocation, name, jobFile) {
      // All of the allocation's first node, whatever else runs in it; srun calls in the script may share it, too.
      const place = [`--jobid=${numberOf(allocation)}`, "--overlap", "--nodes=1", "--ntasks=1"];
      const options = [...place, "--cpu-bind=none", "--mem=0", `--job-name=${name}`];
      return { argv: ["srun", ...options, "/bin/sh", jobFile], environment: { SLURM_OVERLAP: "1" } };
    },
    async find(name, userName, call) {
      const answer = await call(["squeue", "--noheader", "--steps", `--user=${userName}`, "--format=%i|%j"]);
      if (answer.exitCode !== 0) return undefined;
      return lines(answer.stdout).flatMap((line) => {
        const [, id, stepName] = /^(\d+\.\d+)\|(.*)$/.exec(line.trim()) ?? [];
        return stepName === name && isStepId(id) ? [id] : [];
      });
    },
    async terminate(step, call) {
      await call(["scancel", "--signal=TERM", step]);
    },
    async cancel(step, call) {
      await call(["scancel", step]);
    },
  },
};

async function findByName(
  name: string,
  userName: string,
  states: string,
  call: CallScheduler,
): Promise<SchedulerId[] | undefined> {
  const options = ["--noheader", `--user=${userName}`, `--name=${name}`, `--states=${states}`, "--format=%A"];
  const answer = await call(["squeue", ...options]);
  if (answer.exitCode !== 0) return undefined;
  return lines(answer.stdout).flatMap((line) => toSlurmId(line.trim()) ?? []);
}

/** The name comes last, since it may hold what parts fields. */
function whose([user, ...jobName]: readonly string[], userName: string, name: string): Identity {
  return user?.trim() === userName && jobName.join("|").trim() === name ? "ours" : "another";
}

function isStepId(text: string | undefined): text is SchedulerId {
  return text !== undefined && /^[1-9][0-9]{0,18}\.[0-9]{1,9}$/.test(text);
}

/** squeue shows a job that is held after a requeue as SPECIAL_EXIT, which is none of the others. */
const notEnded =
  "PENDING,RUNNING,SUSPENDED,CONFIGURING,COMPLETING,REQUEUED,STOPPED,SPECIAL_EXIT,REQUEUE_HOLD,RESV_DEL_HOLD,SIGNALING,STAGE_OUT,RESIZING";

function words(text: string): string[] {
  return text.split(" ");
}

/** In a path of `--output` a `%` begins a replacement, and a backslash turns them off (sbatch(1), filename pattern). */
function literalPath(path: string): string {
  return path.replaceAll("%", "%%");
}

/** What sbatch answered. With `--parsable` it prints the id alone, with its cluster where there are several. */
export function readSubmission(answer: Answer): Submitted {
  return readSubmitted(
    answer,
    (line) => {
      // A script of the site's may leave --parsable out.
      const [, number, cluster] = /^Submitted batch job (\d+)(?: on cluster (\S+))?$/.exec(line) ?? [];
      return toSlurmId(number === undefined ? line : [number, cluster].filter(Boolean).join(";"));
    },
    away,
  );
}

/** Words with which Slurm says that it cannot be reached, or cannot now: another try may do better. */
const away =
  /Unable to contact|Connection (?:refused|timed out|reset)|connect failure|Socket timed out|Zero Bytes|Communication (?:shutdown|connection) failure|temporarily (?:unavailable|unable)|Protocol authentication error|Munge|controller.*(?:standby|not responding)|slurm_persist_conn|Transport endpoint|Slurm (?:temporarily|backup)/i;

async function askCluster(
  cluster: string | undefined,
  ids: readonly SchedulerId[],
  call: CallScheduler,
): Promise<ReadonlyMap<SchedulerId, QueueState>> {
  const states = new Map<SchedulerId, QueueState>();
  const numbers = ids.map(numberOf).join(",");
  const options = ["--noheader", ...clusterOption(cluster), "--states=all", `--jobs=${numbers}`];
  const queue = await call(["squeue", ...options, "--format=%A|%T|%S|%N|%r"]);
  const forgotten = /Invalid job id/i.test(queue.stderr);
  if (queue.exitCode !== 0 && !forgotten) {
    for (const id of ids) states.set(id, { kind: "unknown", said: said(queue) });
    return states;
  }
  const rows = readQueue(queue.stdout);
  for (const id of ids) {
    const state = rows.get(numberOf(id));
    if (state === undefined) states.set(id, await askHistory(cluster, id, call));
    else if (state.kind === "ended") states.set(id, await askEnd(cluster, id, state, call));
    else states.set(id, state);
  }
  return states;
}

/** The rows of squeue, in the format that {@link askCluster} asks for. A row that cannot be read says nothing. */
export function readQueue(text: string): ReadonlyMap<string, QueueState> {
  const states = new Map<string, QueueState>();
  for (const line of lines(text)) {
    const [, id, word, start, nodes, reason] = /^(\d+)\|([A-Z_]+)\|([^|]*)\|([^|]*)\|(.*)$/.exec(line.trim()) ?? [];
    if (id === undefined || word === undefined) continue;
    const given = (value: string | undefined) =>
      value === "" || value === "N/A" || value === "None" ? undefined : value;
    const state = toState(word, { reason: given(reason), estimatedStart: given(start), nodes: given(nodes) });
    if (state !== undefined) states.set(id, state);
  }
  return states;
}

interface Details {
  readonly reason?: string | undefined;
  readonly estimatedStart?: string | undefined;
  readonly nodes?: string | undefined;
  readonly exitCode?: number | undefined;
}

const waiting = ["PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"];
const runs = ["RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"];
const ends: Readonly<Record<string, End>> = {
  COMPLETED: "completed",
  FAILED: "failed",
  CANCELLED: "cancelled",
  TIMEOUT: "time-limit",
  DEADLINE: "time-limit",
  OUT_OF_MEMORY: "memory-limit",
  NODE_FAIL: "node-failure",
  BOOT_FAIL: "node-failure",
  PREEMPTED: "preempted",
  REVOKED: "other",
};

/** Slurm's word for a state (squeue(1), JOB STATE CODES); undefined for a word that is none of them. */
function toState(word: string, details: Details): QueueState | undefined {
  const { reason, estimatedStart, nodes, exitCode } = details;
  if (waiting.includes(word)) {
    return { kind: "pending", reason: word === "PENDING" ? reason : (reason ?? word), estimatedStart };
  }
  if (runs.includes(word)) return { kind: "running", nodes };
  const end = Object.hasOwn(ends, word) ? ends[word] : undefined;
  if (end === undefined) return undefined;
  return { kind: "ended", end, said: reason === undefined ? word : `${word} (${reason})`, exitCode };
}

/** What the controller still knows of a job that has ended: its exit code. */
async function askEnd(
  cluster: string | undefined,
  id: SchedulerId,
  state: QueueState,
  call: CallScheduler,
): Promise<QueueState> {
  const answer = await call(["scontrol", ...clusterOption(cluster), "--oneliner", "show", "job", numberOf(id)]);
  return answer.exitCode === 0 ? (readRecord(answer.stdout) ?? state) : state;
}

/** The record of `scontrol show job --oneliner`. */
export function readRecord(text: string): QueueState | undefined {
  const field = (name: string) => new RegExp(`(?:^|\\s)${name}=(\\S+)`).exec(text)?.[1];
  const word = field("JobState");
  if (word === undefined) return undefined;
  const reason = field("Reason");
  return toState(word, {
    reason: reason === "None" ? undefined : reason,
    nodes: field("NodeList"),
    exitCode: exitCodeOf(field("ExitCode")),
  });
}

/** The controller has forgotten the job. The accounting may remember it, where there is one. */
async function askHistory(cluster: string | undefined, id: SchedulerId, call: CallScheduler): Promise<QueueState> {
  const gone = { kind: "unknown", said: `Slurm does not know the job ${numberOf(id)} any more` } as const;
  const options = ["--noheader", "--parsable2", "--allocations", "--format=State,ExitCode,Reason"];
  const answer = await askAccounting([...clusterOption(cluster), ...options, `--jobs=${numberOf(id)}`], call);
  return answer.exitCode === 0 ? (readHistory(answer.stdout) ?? gone) : gone;
}

/** Sites without accounting may not even have the program. */
async function askAccounting(options: readonly string[], call: CallScheduler): Promise<Answer> {
  try {
    return await call(["sacct", ...options]);
  } catch (error) {
    if (!(error instanceof JacamarError)) throw error;
    return { exitCode: undefined, stdout: "", stderr: error.message };
  }
}

/** The last line of sacct. A cancelled job's state reads `CANCELLED by 1000`. */
export function readHistory(text: string): QueueState | undefined {
  const [words = "", code, reason] = (lines(text).at(-1) ?? "").split("|");
  const word = /^[A-Z_]+/.exec(words)?.[0];
  if (word === undefined) return undefined;
  return toState(word, {
    reason: reason === "" || reason === "None" ? undefined : reason,
    exitCode: exitCodeOf(code),
  });
}

/** `7:0` is an exit code, `0:9` a signal. */
function exitCodeOf(text: string | undefined): number | undefined {
  const [, code, signal] = /^(\d{1,3}):(\d{1,3})$/.exec(text ?? "") ?? [];
  if (code === undefined) return undefined;
  return Number(signal) > 0 ? 128 + Number(signal) : Number(code);
}

/** `4`, or `4;cluster`. */
function toSlurmId(text: string | undefined): SchedulerId | undefined {
  return isSlurmId(text) ? text : undefined;
}

function isSlurmId(text: string | undefined): text is SchedulerId {
  return text !== undefined && /^[1-9][0-9]{0,18}(?:;[A-Za-z0-9_.-]{1,64})?$/.test(text);
}

function numberOf(id: SchedulerId): string {
  return id.split(";")[0] ?? id;
}

function clusterOf(id: SchedulerId): string | undefined {
  return id.split(";")[1];
}

function clusterOption(cluster: string | undefined): string[] {
  return cluster === undefined ? [] : [`--clusters=${cluster}`];
}

function byCluster(ids: readonly SchedulerId[]): ReadonlyMap<string | undefined, SchedulerId[]> {
  return Map.groupBy(ids, clusterOf);
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}
