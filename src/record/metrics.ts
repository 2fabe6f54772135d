import { errorCodes } from "../error/codes.ts";
import { isObject } from "./decode.ts";
import type { JobLine } from "./line.ts";

/** A cumulative histogram as Prometheus wants it, but for the last bucket, which is `count`. */
interface Histogram {
  /** How many values were at most the bound of that place. */
  readonly buckets: readonly number[];
  readonly sum: number;
  readonly count: number;
}

/** All counters since the beginning, by name with labels. */
export interface Metrics {
  readonly counters: Readonly<Record<string, number>>;
  readonly histograms: Readonly<Record<string, Histogram>>;
}

/** What a counter counts; its labels are of closed lists, so that their number stays small. */
const counters = {
  jacamar_jobs_total: "Jobs that have ended, by outcome, error code (empty: none) and executor.",
  jacamar_image_provisions_total: "Images of jobs, by whether they were there already (hit) or were pulled.",
  jacamar_script_seconds_total: "Time in which the scripts of jobs ran.",
} as const;

const histograms = {
  jacamar_queue_seconds: {
    help: "How long jobs waited in the scheduler's queue.",
    bounds: [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400],
  },
  jacamar_overhead_seconds: {
    help: "What the stages of a job took beside its scripts and the queue: images, containers, shells, this program.",
    bounds: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600],
  },
} as const;

type CounterName = keyof typeof counters;
type HistogramName = keyof typeof histograms;

export const noMetrics: Metrics = { counters: {}, histograms: {} };

/** Adds a job that has ended. */
export function countJob(metrics: Metrics, job: JobLine): Metrics {
  const executor = job.executor ?? "unknown";
  const error = job.error === undefined ? "" : Object.hasOwn(errorCodes, job.error) ? job.error : "other";
  let next = add(metrics, series("jacamar_jobs_total", { outcome: job.outcome, error, executor }), 1);
  next = add(next, series("jacamar_script_seconds_total", { executor }), job.script_seconds);
  if (job.cache !== undefined) next = add(next, series("jacamar_image_provisions_total", { cache: job.cache }), 1);
  next = observe(next, "jacamar_overhead_seconds", { executor }, job.overhead_seconds);
  return job.queue_seconds === undefined
    ? next
    : observe(next, "jacamar_queue_seconds", { executor }, job.queue_seconds);
}

/** The text that node_exporter's textfile collector reads (Prometheus' text format, version 0.0.4). */
export function exposition(metrics: Metrics): string {
  const lines: string[] = [];
  for (const [name, help] of Object.entries(counters)) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} counter`);
    for (const [key, value] of sorted(metrics.counters)) if (nameOf(key) === name) lines.push(`${key} ${value}`);
  }
  for (const [name, { help, bounds }] of Object.entries(histograms)) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} histogram`);
    for (const [key, value] of sorted(metrics.histograms)) {
      if (nameOf(key) !== name) continue;
      const labels = key.slice(name.length + 1, -1);
      for (const [place, bound] of bounds.entries()) {
        lines.push(`${name}_bucket{${labels},le="${bound}"} ${value.buckets[place] ?? 0}`);
      }
      lines.push(
        `${name}_bucket{${labels},le="+Inf"} ${value.count}`,
        `${name}_sum{${labels}} ${value.sum}`,
        `${name}_count{${labels}} ${value.count}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

/** Reads what was kept; undefined for a text that is not of {@link packMetrics}. */
export function unpackMetrics(text: string): Metrics | undefined {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(data) || data["version"] !== 1 || !isObject(data["counters"]) || !isObject(data["histograms"]))
    return undefined;
  const kept: Record<string, number> = {};
  for (const [key, value] of Object.entries(data["counters"])) {
    if (typeof value === "number" && Object.hasOwn(counters, nameOf(key))) kept[key] = value;
  }
  const values: Record<string, Histogram> = {};
  for (const [key, value] of Object.entries(data["histograms"])) {
    if (!isObject(value) || !isHistogramName(nameOf(key))) continue;
    const { buckets, sum, count } = value;
    if (!Array.isArray(buckets) || typeof sum !== "number" || typeof count !== "number") continue;
    values[key] = { buckets: buckets.map((each: unknown) => (typeof each === "number" ? each : 0)), sum, count };
  }
  return { counters: kept, histograms: values };
}

/** The metrics as a text for {@link unpackMetrics}. */
export function packMetrics(metrics: Metrics): string {
  return `${JSON.stringify({ version: 1, ...metrics })}\n`;
}

function add(metrics: Metrics, key: string, value: number): Metrics {
  return { ...metrics, counters: { ...metrics.counters, [key]: precise((metrics.counters[key] ?? 0) + value) } };
}

function observe(
  metrics: Metrics,
  name: HistogramName,
  labels: Readonly<Record<string, string>>,
  value: number,
): Metrics {
  const key = series(name, labels);
  const { bounds } = histograms[name];
  const old = metrics.histograms[key] ?? { buckets: [], sum: 0, count: 0 };
  const histogram: Histogram = {
    buckets: bounds.map((bound, place) => (old.buckets[place] ?? 0) + (value <= bound ? 1 : 0)),
    sum: precise(old.sum + value),
    count: old.count + 1,
  };
  return { ...metrics, histograms: { ...metrics.histograms, [key]: histogram } };
}

/** The values of labels are words of ours; whatever else gets there is made one. */
function series(name: CounterName | HistogramName, labels: Readonly<Record<string, string>>): string {
  const text = Object.entries(labels).map(([label, value]) => `${label}="${value.replaceAll(/[^\w.-]/g, "_")}"`);
  return `${name}{${text.join(",")}}`;
}

function nameOf(key: string): string {
  return key.slice(0, key.indexOf("{"));
}

function isHistogramName(name: string): name is HistogramName {
  return Object.hasOwn(histograms, name);
}

function sorted<T>(values: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(values).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Sums of many small numbers keep no dust. */
function precise(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
