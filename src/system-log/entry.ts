import { version } from "../version.ts";
import { asciiJson, cut, masked } from "./json-line.ts";

/** How grave an entry is, as `[auth.logging] level` names it. */
export type Level = "debug" | "info" | "warn" | "error";

/**
 * Who and what an entry is about. There is no place for anything else, so no token, credential or script has a key that
 * it could come under. What is not known is left out.
 */
export interface EntryFacts {
  /** What the job log shows, and by which the entry is found; see {@link newEntryId}. */
  readonly id: string;
  /** A sentence of ours. It quotes nothing that a user wrote. */
  readonly message: string;
  readonly time: Date;
  /** `general.name` of the configuration. */
  readonly instance?: string | undefined;
  /** `config`, `prepare`, `cleanup`, or the runner's name for a script. */
  readonly stage?: string | undefined;
  readonly jobId?: string | undefined;
  readonly projectId?: number | undefined;
  readonly projectPath?: string | undefined;
  readonly pipelineId?: number | undefined;
  /** The short token of the runner: it names it, and opens nothing. More than 20 characters are never written. */
  readonly runnerShortToken?: string | undefined;
  /** The login name at GitLab, as the signed token has it. */
  readonly gitlabUser?: string | undefined;
  readonly gitlabUserId?: number | undefined;
  /** The account of this system that the job runs as, or would have run as. */
  readonly account?: string | undefined;
}

/** Whether a job may run, and everything that led to it. */
export interface DecisionEntry extends EntryFacts {
  readonly kind: "allowed" | "refused";
  readonly reasons: readonly string[];
}

/** A mistake in this program. */
export interface DefectEntry extends EntryFacts {
  readonly kind: "defect";
  readonly stack: string;
}

export type LogEntry = DecisionEntry | DefectEntry;

/** More than any entry can have, in bytes, without the line's end. With a syslog header it fits the 8 KiB that rsyslog reads. */
export const longestLine = 8000;

const mostReasons = 40;
const reasonsLimit = 4800;

/** A new id for an entry: 12 hexadecimal digits that nobody can foresee. */
export function newEntryId(): string {
  // Loading it costs 5 ms, and a stage that logs nothing needs none.
  return process.getBuiltinModule("node:crypto").randomBytes(6).toString("hex");
}

/** Allowed jobs are `info`, refused ones `warn`, defects `error`. */
export function levelOf(entry: LogEntry): Level {
  switch (entry.kind) {
    case "allowed":
      return "info";
    case "refused":
      return "warn";
    case "defect":
      return "error";
  }
}

/**
 * The entry as one line of JSON, without the line's end: ASCII alone, no control characters, at most {@link longestLine}
 * bytes. Too long values are cut and end in `...`; of too many reasons the last says how many are missing. What looks like
 * a token or a password in a URL is masked in `msg`, `reasons` and `error`, should one get there by mistake.
 *
 * `time`, `level`, `msg`, `job`, `project`, `project_full_path`, `pipeline_id`, `gitlab_user_id`, `runner` and `error`
 * are named and typed as in GitLab Runner's own JSON log (its common/build.go, `Log()` and `setTraceStatus()`, and
 * common/config.go, `Log()`; log/configuration.go takes logrus' JSONFormatter, whose `warn` is `warning`).
 */
export function encodeEntry(entry: LogEntry): string {
  return asciiJson({
    time: entry.time.toISOString(),
    level: levelOf(entry) === "warn" ? "warning" : levelOf(entry),
    msg: cut(masked(entry.message), 1000),
    id: cut(entry.id, 40),
    ...(entry.kind === "defect"
      ? { error: cut(masked(entry.stack), reasonsLimit) }
      : { decision: entry.kind, reasons: cutReasons(entry.reasons) }),
    job: number(entry.jobId),
    project: entry.projectId,
    project_full_path: optional(entry.projectPath, 600),
    pipeline_id: entry.pipelineId,
    gitlab_user: optional(entry.gitlabUser, 260),
    gitlab_user_id: entry.gitlabUserId,
    account: optional(entry.account, 130),
    runner: optional(entry.runnerShortToken, 20),
    instance: optional(entry.instance, 130),
    stage: optional(entry.stage, 130),
    version: cut(version, 40),
  });
}

/** GitLab's numbers are numbers in the runner's log; the job's is text in this program. */
function number(text: string | undefined): number | string | undefined {
  if (text === undefined) return undefined;
  return /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : cut(text, 20);
}

function optional(text: string | undefined, limit: number): string | undefined {
  return text === undefined ? undefined : cut(text, limit);
}

function cutReasons(reasons: readonly string[]): string[] {
  const kept: string[] = [];
  let size = 0;
  for (const reason of reasons) {
    const text = cut(masked(reason), 600);
    size += asciiJson(text).length + 1;
    if (kept.length === mostReasons || size > reasonsLimit) {
      kept.push(`${reasons.length - kept.length} more`);
      break;
    }
    kept.push(text);
  }
  return kept;
}
