import { jobLine } from "../record/compose.ts";
import { decodeLine, isObject, lineStart } from "../record/decode.ts";
import type { JobLine, RecordLine, StageLine } from "../record/line.ts";
import { Rows } from "./rows.ts";
import type { Line, Source, TakeLine } from "./sources.ts";

/** Where a line can be read again. */
interface Kept {
  readonly source: Source;
  readonly place: number;
  readonly length: number;
}

/** What is known of a job that has a row. */
interface JobOfRow {
  readonly row: number;
  readonly time: string;
  readonly attempts: number;
  /** Whose file it is from, where that counts. */
  readonly account: string | undefined;
  /** Its own line; of a job that has none, its stages. */
  readonly kept: readonly Kept[];
}

/** What was read. */
export interface Collected {
  readonly rows: Rows;
  /** Lines that are none of the record. */
  readonly foreignLines: number;
  /** Lines of one account in a file of another one's. */
  readonly forgedLines: number;
  /** Reads the job of a row again, whole. */
  readonly whole: (row: number) => { readonly line: JobLine; readonly attempts: number } | undefined;
}

/** How lines begin: most of a record is known without parsing it (src/record/encode.ts). */
const stageStart = Buffer.from('{"schema":1,"kind":"stage","key":"');
const anyStart = Buffer.from(lineStart);
/** No text can hold it, since there the quotes are escaped. What comes after it is needed of few jobs. */
const stagesOfJob = Buffer.from(',"stages":[');
const longestKey = 64;

/** Puts jobs together from the lines of a record, in whatever order they come. */
export class Collector {
  readonly #since: number;
  readonly #mayTell: ((account: string, owner: number) => boolean) | undefined;
  readonly #rows = new Rows();
  readonly #jobs = new Map<string, JobOfRow>();
  /** Stages of jobs without a line of their own: they still run, or were killed, or are in a log that cannot be read back. */
  readonly #stages = new Map<string, Kept[]>();
  #foreign = 0;
  #forged = 0;

  /** @param mayTell whether a line of an account may be in a file of an owner; undefined: all may. */
  constructor(since: Date | undefined, mayTell?: (account: string, owner: number) => boolean) {
    this.#since = since?.getTime() ?? Number.NEGATIVE_INFINITY;
    this.#mayTell = mayTell;
  }

  /** Takes the lines of a source. */
  takeFrom(source: Source): TakeLine {
    return (line) => {
      if (line.begin < line.end) this.#take(withoutRest(line), source);
    };
  }

  /** To be called once, after the last line. */
  collected(): Collected {
    for (const [key, kept] of this.#stages) {
      const stages = stagesOf(kept);
      const line = jobLine(stages);
      if (line === undefined) this.#foreign += kept.length;
      else {
        const attempts = Math.max(1, stages.filter(({ stage }) => stage === "config").length);
        this.#setJob(key, line, attempts, kept);
      }
    }
    this.#stages.clear();
    const byRow = [...this.#jobs.values()];
    return {
      rows: this.#rows,
      foreignLines: this.#foreign,
      forgedLines: this.#forged,
      whole: (row) => {
        const job = byRow[row];
        const line = job && wholeLine(job.kept);
        // A user may have written something else there meanwhile, or what only a whole reading sees.
        const isTheirs = job?.account === undefined || line?.account === job.account;
        return job && line && isTheirs ? { line, attempts: job.attempts } : undefined;
      },
    };
  }

  #take(line: Line, source: Source): void {
    const key = keyOfStage(line);
    if (key !== undefined && !this.#mayTell) {
      // A job that has its own line tells all of its stages there.
      if (!this.#jobs.has(key)) this.#keepStage(key, line, source);
      return;
    }
    const found = readLine(line);
    if (found === undefined) {
      this.#foreign += 1;
      return;
    }
    if (this.#mayTell && (found.account === undefined || !this.#mayTell(found.account, source.owner))) {
      this.#forged += 1;
      return;
    }
    // The keys of others' jobs are to be seen, in the names of their containers.
    const itsKey = this.#mayTell ? `${found.account}/${found.key}` : found.key;
    if (found.kind === "job") this.#takeJob(itsKey, found, line, source);
    else if (!this.#jobs.has(itsKey)) this.#keepStage(itsKey, line, source);
  }

  #takeJob(key: string, job: JobLine, line: Line, source: Source): void {
    this.#stages.delete(key);
    const other = this.#jobs.get(key);
    const attempts = (other?.attempts ?? 0) + 1;
    // Attempts may come in any order, and the last one tells how it ended.
    if (other && other.time > job.time) this.#jobs.set(key, { ...other, attempts });
    else this.#setJob(key, job, attempts, [keptOf(line, source)]);
  }

  #setJob(key: string, job: JobLine, attempts: number, kept: readonly Kept[]): void {
    if (this.#since > Number.NEGATIVE_INFINITY && Date.parse(job.time) < this.#since) return;
    const row = this.#jobs.get(key)?.row ?? this.#rows.count;
    this.#rows.set(row, job, attempts);
    const account = this.#mayTell ? job.account : undefined;
    this.#jobs.set(key, { row, time: job.time, attempts, account, kept });
  }

  #keepStage(key: string, line: Line, source: Source): void {
    const known = this.#stages.get(key);
    const kept = keptOf(line, source);
    if (known) known.push(kept);
    else this.#stages.set(key, [kept]);
  }
}

/** A line without what stands before it, of a write that failed: a user can limit the size to which the user's own process may write. */
function withoutRest(line: Line): Line {
  const { buffer, begin, end } = line;
  const later = buffer.subarray(begin, end).lastIndexOf(anyStart);
  return later > 0 ? { ...line, begin: begin + later, position: line.position + later } : line;
}

function keptOf(line: Line, source: Source): Kept {
  return { source, place: source.keep(line), length: line.end - line.begin };
}

function wholeLine(kept: readonly Kept[]): JobLine | undefined {
  const [first] = kept;
  const line = first && textLine(first.source.read(first.place, first.length));
  return line?.kind === "job" ? line : jobLine(stagesOf(kept));
}

function stagesOf(kept: readonly Kept[]): StageLine[] {
  return kept
    .flatMap(({ source, place, length }) => {
      const line = textLine(source.read(place, length));
      return line?.kind === "stage" ? [line] : [];
    })
    .toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

/** The key of a stage's line as this program writes it; undefined for any other line. */
function keyOfStage({ buffer, begin, end }: Line): string | undefined {
  if (!startsWith(buffer, begin, end, stageStart)) return undefined;
  const from = begin + stageStart.length;
  const stop = buffer.indexOf(34, from);
  return stop === -1 || stop >= end || stop - from > longestKey ? undefined : buffer.toString("latin1", from, stop);
}

/** A line, of a job without its stages. */
function readLine({ buffer, begin, end }: Line): RecordLine | undefined {
  if (!startsWith(buffer, begin, end, anyStart)) return textLine(buffer.toString("utf8", begin, end));
  const at = buffer.indexOf(stagesOfJob, begin);
  if (at === -1 || at >= end) return decodeLine(buffer.toString("latin1", begin, end));
  return decodeLine(`${buffer.toString("latin1", begin, at)},"stages":[]}`);
}

/** A line of the record; of journalctl's JSON what its MESSAGE holds; of a system log what follows its header. */
function textLine(text: string): RecordLine | undefined {
  if (text.startsWith(lineStart)) return decodeLine(text);
  if (text.startsWith("{")) {
    try {
      const entry: unknown = JSON.parse(text);
      const message = isObject(entry) ? entry["MESSAGE"] : undefined;
      return typeof message === "string" ? decodeLine(message) : undefined;
    } catch {
      return undefined;
    }
  }
  const at = text.indexOf(lineStart);
  return at === -1 ? undefined : decodeLine(text.slice(at).trimEnd());
}

function startsWith(buffer: Buffer, begin: number, end: number, start: Buffer): boolean {
  return end - begin >= start.length && buffer.compare(start, 0, start.length, begin, begin + start.length) === 0;
}
