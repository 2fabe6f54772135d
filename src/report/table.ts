import { errorCodes } from "../error/codes.ts";
import { duration, size } from "../measure/summary.ts";
import type { JobLine } from "../record/line.ts";
import type { Collected } from "./collect.ts";
import { type Detail, type DetailStage, outcomes, type PageData, unpackSeconds } from "./page-data.ts";
import type { Rows } from "./rows.ts";

/** How many jobs a page has the timelines of, and how many of each kind. */
const mostNewest = 1000;
const mostFailed = 500;
const mostLong = 300;
const examplesOfCode = 5;

/** What the page is to have beside the jobs. */
export interface TableOptions {
  readonly title: string;
  readonly made: Date;
  readonly program: string;
  /** Numbers of jobs whose timelines are wanted. */
  readonly jobs: readonly string[];
}

/** Makes the page's data of the jobs of a record. */
export function pageData(collected: Collected, options: TableOptions): PageData {
  const { rows } = collected;
  const time = (row: number) => rows.get("time", row);
  const order = Uint32Array.from({ length: rows.count }, (_, row) => row).toSorted(
    (a, b) => time(a) - time(b) || a - b,
  );
  const from = time(order[0] ?? 0);
  const lists = rows.lists();
  return {
    version: 1,
    title: options.title,
    made: options.made.toISOString(),
    program: options.program,
    lists,
    count: order.length,
    from,
    columns: rows.columns(order, from),
    details: chosen(rows, order, options.jobs, collected).flatMap((place) => detail(collected, order, place)),
    errors: errorsOf(lists.errors),
    foreignLines: collected.foreignLines,
    forgedLines: collected.forgedLines,
  };
}

function errorsOf(codes: readonly string[]): PageData["errors"] {
  return Object.fromEntries(
    codes.flatMap((code) => {
      const known = isCode(code) ? errorCodes[code] : undefined;
      return known ? [[code, { blame: known.blame, means: known.means }]] : [];
    }),
  );
}

function isCode(code: string): code is keyof typeof errorCodes {
  return Object.hasOwn(errorCodes, code);
}

/** The places, in the order of time, of the jobs that the page has the timelines of. */
function chosen(rows: Rows, order: Uint32Array, wanted: readonly string[], { whole }: Collected): number[] {
  const places = new Set<number>();
  const examples = new Map<number, number>();
  const waste = new Float64Array(order.length);
  let failed = 0;
  for (let place = order.length - 1; place >= 0; place -= 1) {
    const row = order[place] ?? 0;
    waste[place] = unpackSeconds(rows.get("overhead", row)) + (unpackSeconds(rows.get("queue", row)) || 0);
    if (places.size < mostNewest) places.add(place);
    if (rows.get("outcome", row) === 0) continue;
    failed += 1;
    const code = rows.get("error", row);
    const known = examples.get(code) ?? 0;
    examples.set(code, known + 1);
    if (failed <= mostFailed || known < examplesOfCode) places.add(place);
  }
  const least = waste.toSorted().at(-mostLong) ?? 0;
  let long = 0;
  for (const [place, seconds] of waste.entries()) {
    if (seconds < least || long >= mostLong) continue;
    long += 1;
    places.add(place);
  }
  const asked = new Set(wanted);
  for (let place = 0; asked.size > 0 && place < order.length; place += 1) {
    if (asked.has(String(whole(order[place] ?? 0)?.line.job))) places.add(place);
  }
  return [...places].toSorted((a, b) => a - b);
}

function detail({ whole }: Collected, order: Uint32Array, place: number): Detail[] {
  const job = whole(order[place] ?? 0);
  if (job === undefined) return [];
  const { line, attempts } = job;
  return [
    {
      row: place,
      job: line.job === undefined ? "" : String(line.job),
      name: line.job_name ?? "",
      facts: factsOf(line, attempts),
      stages: line.stages.map(
        ({ stage, at, seconds, outcome, error, steps }): DetailStage => [
          stage,
          at,
          seconds,
          outcomes.indexOf(outcome),
          error ?? "",
          steps.map(({ name, at, seconds }) => [name, at, seconds]),
        ],
      ),
    },
  ];
}

function factsOf(line: JobLine, attempts: number): [string, string][] {
  const memory = line.peak_memory_bytes;
  const limit = line.memory_limit_bytes;
  const facts: readonly (readonly [string, string | number | undefined])[] = [
    ["Message", line.message],
    ["Id", line.id],
    ["Failed in", line.outcome === "passed" ? undefined : line.stage],
    ["Exit code", line.exit_code],
    ["Attempts", attempts > 1 ? attempts : undefined],
    ["Pipeline", line.pipeline_id],
    ["Project number", line.project],
    ["Mechanism", line.mechanism],
    ["Image", line.image],
    ["Image id", line.image_id?.slice(0, 12)],
    ["Digest", line.digest],
    ["Image size", line.image_bytes === undefined ? undefined : size(line.image_bytes)],
    ["Image was", line.cache === undefined ? undefined : line.cache === "hit" ? "there already" : "pulled"],
    ["Queue", line.queue_seconds === undefined ? undefined : duration(line.queue_seconds)],
    ["Scheduler's number", line.scheduler_id],
    ["Node", line.node],
    ["Peak memory", memory && `${size(memory)}${limit === undefined ? "" : ` of ${size(limit)}`}`],
    ["Runner", line.runner],
    ["Instance", line.instance],
    ["Machine", line.host],
    ["Program", line.version],
    ["Stages left out", line.stages_left_out],
  ];
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
}
