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
import { shellWord } from "./shell-word.ts";
import { softSignal } from "./soft-signal.ts";

/** LSF, by its commands (bsub(1), bjobs(1), bkill(1) of version 10.1; facts/schedulers.md, LSF). */
export const lsf: Scheduler = {
  title: "LSF",
  ownArguments: {
    singleDash: true,
    long: words("oo eo is I Ip Is ISp ISs IS IX pack jsdl jsdl_strict json yaml help"),
    // What begins with a letter of ours, or of an option that takes a value, and is another option.
    othersLong: words(
      "Jd alloc_flags app ar clusters cn_cu cn_mem core_isolation csm cwd data datachk datagrp env Ep eptl ext freq gpu hl hostfile " +
        "jsm ln_mem ln_slots Lp mig network nnodes notify outdir ptl rcacct rn sla smt sp stage step_cgroup ti tn ul wa We wt XF Zs",
    ),
    short: "JoeiIKhV",
    shortWithValue: "abcCDEfFgGjkLmMnpPqQRsStTuUvwWZ",
    longWithoutValue: words("ar B H N r rn x XF ul hl ti tn datachk Zs"),
  },
  variablePrefixes: ["LSB_", "LSF_", "LS_"],
  // The report that LSF would send by mail. What it tells is asked for.
  ordinary:
    /^(?:-{20,}\n)?Sender: LSF System[\s\S]*?^The output \(if any\) (?:follows|is above this job summary)[.:]\s*|^PS:\s*$\s*^Read file .*\n?/gm,
  nodeList: "printf '%s\\n' $LSB_HOSTS | sort -u | paste -sd , -",
  // lsf/CLUSTER/job.ID.PID.TIME, with LSF_LINUX_CGROUP_ACCT.
  memoryGroup: "/job.${LSB_JOBID:-none}.",

  // biome-ignore lint/suspicious/noTemplateCurlyInString: sh expands it
  ownId: "${LSB_JOBID-}",

  async submit({ name, jobFile, logFile, userArguments }, call) {
    // What follows the options is a line for sh(1) on the node.
    const command = ["/bin/sh", shellWord(jobFile)];
    return readLsfSubmission(await call(["bsub", ...userArguments, "-J", name, "-o", logFile, ...command]));
  },

  async ask(ids, call) {
    const answer = await call(["bjobs", "-o", fields, "-json", ...ids]);
    const records = readRecords(answer.stdout);
    return new Map(
      ids.map((id) => {
        const record = records?.find(({ JOBID }) => JOBID === id);
        return [id, record === undefined ? { kind: "unknown", said: lineOn(id, answer) } : readLsfState(record)];
      }),
    );
  },

  find: (name, userName, call) => findByName(name, userName, [], call),

  findEnded: (name, userName, call) => findByName(name, userName, ["-a"], call),

  readOwnId: (text) => toIds(text)[0],

  async identify(id, name, userName, call) {
    const answer = await call(["bjobs", "-o", "jobid user job_name", "-json", id]);
    const record = readRecords(answer.stdout)?.find(({ JOBID, ERROR }) => JOBID === id && ERROR === undefined);
    if (record === undefined) return "unknown";
    return record.JOB_NAME === name && record.USER === userName ? "ours" : "another";
  },

  async terminate(id, call) {
    await call(["bkill", "-s", softSignal, id]);
  },

  async cancel(id, call) {
    await call(["bkill", id]);
  },
};

async function findByName(
  name: string,
  userName: string,
  options: readonly string[],
  call: CallScheduler,
): Promise<SchedulerId[] | undefined> {
  const answer = await call(["bjobs", ...options, "-u", userName, "-J", name, "-o", "jobid job_name", "-json"]);
  const records = readRecords(answer.stdout);
  // LSB_BJOBS_CONSISTENT_EXIT_CODE decides whether nothing is an error.
  if (records === undefined) return none.test(answer.stderr + answer.stdout) ? [] : undefined;
  return records.flatMap(({ JOBID, JOB_NAME, ERROR }) =>
    ERROR === undefined && JOB_NAME === name ? toIds(JOBID) : [],
  );
}

function words(text: string): string[] {
  return text.split(" ");
}

const fields = "jobid stat exit_code exit_reason pend_reason exec_host";
const none = /is not found|No unfinished job found|No matching job found/;

/** Words with which LSF says that it cannot be reached, or cannot now: another try may do better. */
const away =
  /Cannot connect to LSF|LSF is down|not responding|mbatchd|Connection (?:refused|timed out|reset)|communication time ?out|Failed in an? (?:LSF|LSBLIB|lsbatch) library call|Unable to (?:contact|reach) LIM|master (?:host|LIM)|Communication.*(?:fail|error)|lsf\.conf/i;

/** What bsub answered: `Job <123> is submitted to queue <normal>.` among what the site's own scripts print. */
export function readLsfSubmission(answer: Answer): Submitted {
  return readSubmitted(answer, (line) => toIds(/^Job <(\d+)> is submitted\b/.exec(line)?.[1] ?? "")[0], away);
}

const recordSchema = v.object({
  JOBID: v.string(),
  ERROR: v.optional(v.string()),
  STAT: v.optional(v.string(), ""),
  JOB_NAME: v.optional(v.string(), ""),
  USER: v.optional(v.string(), ""),
  EXIT_CODE: v.optional(v.string(), ""),
  EXIT_REASON: v.optional(v.string(), ""),
  PEND_REASON: v.optional(v.string(), ""),
  EXEC_HOST: v.optional(v.string(), ""),
});
type LsfJob = v.InferOutput<typeof recordSchema>;

/** A record that cannot be read says nothing; no document: undefined. */
function readRecords(stdout: string): LsfJob[] | undefined {
  const document = v.safeParse(v.object({ RECORDS: v.array(v.unknown()) }), readJson(stdout));
  if (!document.success) return undefined;
  return document.output.RECORDS.flatMap((record) => {
    const parsed = v.safeParse(recordSchema, record);
    return parsed.success ? [parsed.output] : [];
  });
}

/** `STAT` (bjobs(1)). */
function readLsfState(job: LsfJob): QueueState {
  switch (job.STAT) {
    case "PEND":
    case "PSUSP":
    case "WAIT": {
      const reason = job.PEND_REASON.replace(/;\s*$/, "").trim();
      return { kind: "pending", reason: reason === "" ? undefined : reason };
    }
    case "RUN":
    case "PROV":
    case "USUSP":
    case "SSUSP":
      return { kind: "running", nodes: nodesOf(job.EXEC_HOST) };
    case "DONE":
      return { kind: "ended", end: "completed", said: "DONE", exitCode: 0 };
    case "EXIT":
      return {
        kind: "ended",
        end: endOf(job),
        said: job.EXIT_REASON === "" ? `EXIT ${job.EXIT_CODE}`.trim() : job.EXIT_REASON,
        exitCode: /^\d{1,3}$/.test(job.EXIT_CODE) ? Number(job.EXIT_CODE) : undefined,
      };
    // UNKWN: the host does not answer. ZOMBI: it did not when the job was to be ended.
    default:
      return { kind: "unknown", said: job.ERROR ?? `LSF says that the job is in the state ${job.STAT.slice(0, 40)}` };
  }
}

/** `4*node1:node2`. */
function nodesOf(hosts: string): string | undefined {
  const names = hosts.split(":").map((host) => host.replace(/^\d+\*/, ""));
  return hosts === "" ? undefined : [...new Set(names)].join(",");
}

/** Keywords of the reason (Termination reasons displayed by bacct, bhist, and bjobs). */
const reasons: readonly (readonly [RegExp, End])[] = [
  [/^TERM_(?:RUNLIMIT|CPULIMIT|DEADLINE|WINDOW)/, "time-limit"],
  [/^TERM_(?:MEMLIMIT|SWAP)/, "memory-limit"],
  [/^TERM_(?:OWNER|ADMIN|FORCE_OWNER|FORCE_ADMIN|BUCKET_KILL)/, "cancelled"],
  [/^TERM_(?:PREEMPT|RC_RECLAIM)/, "preempted"],
  [/^TERM_(?:ZOMBIE|REMOVE_HUNG_JOB)/, "node-failure"],
];

function endOf({ EXIT_REASON: reason, EXIT_CODE: code }: LsfJob): End {
  const known = reasons.find(([keyword]) => keyword.test(reason))?.[1];
  if (known !== undefined) return known;
  if (reason === "" && code === "140") return "time-limit";
  return reason === "" && code === "130" ? "cancelled" : "failed";
}

/** What bjobs said of that job, or of all. */
function lineOn(id: SchedulerId, answer: Answer): string {
  return answer.stderr.split("\n").find((line) => line.includes(`<${id}>`)) ?? said(answer);
}

function toIds(word: string): SchedulerId[] {
  return isLsfId(word) ? [word] : [];
}

function isLsfId(word: string): word is SchedulerId {
  return /^[1-9][0-9]{0,18}$/.test(word);
}
