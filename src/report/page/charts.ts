import uPlot from "uplot";
import { outcomes } from "../page-data.ts";
import { element } from "./dom.ts";
import { count, duration, tick } from "./format.ts";
import type { Jobs } from "./jobs.ts";

/** A chart that is drawn again when the page's width or its colours change. */
interface Drawn {
  readonly chart: uPlot;
  readonly box: HTMLElement;
}

const drawn = new Map<HTMLElement, Drawn>();
const height = 230;

const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    for (const { chart, box } of drawn.values()) {
      if (box === target && contentRect.width > 0) chart.setSize({ width: contentRect.width, height });
    }
  }
});

/** The value of a colour of the style sheet, as it is now. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Draws a chart in a box, in place of what was there. Readers without sight have the table beside it. */
function draw(
  box: HTMLElement,
  label: string,
  options: Omit<uPlot.Options, "width" | "height">,
  data: uPlot.AlignedData,
): void {
  drawn.get(box)?.chart.destroy();
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
  const chart = new uPlot(
    { ...options, width: Math.max(200, box.clientWidth), height, legend: { show: false } },
    data,
    box,
  );
  drawn.set(box, { chart, box });
  sizes.observe(box);
}

function axis(more: uPlot.Axis = {}): uPlot.Axis {
  return {
    stroke: colour("quiet"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { stroke: colour("line"), width: 1 },
    font: "12px system-ui, sans-serif",
    ...more,
  };
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
const steps = [5 * minute, 15 * minute, hour, 3 * hour, 6 * hour, day, 7 * day, 28 * day, 364 * day];
const mostBins = 70;

/** Jobs counted by time and outcome. */
export interface TimeBins {
  readonly seconds: number;
  /** When each bin begins, in seconds since 1970. */
  readonly starts: readonly number[];
  /** For each outcome, how many in each bin. */
  readonly counts: readonly (readonly number[])[];
}

/** Counts jobs by time, in bins of a length that people know. */
export function timeBins(jobs: Jobs, rows: Uint32Array): TimeBins {
  const first = jobs.timeOf(0);
  const last = jobs.timeOf(jobs.data.count - 1);
  const seconds = steps.find((step) => (last - first) / step < mostBins) ?? 364 * day;
  // Days begin at midnight where the reader is.
  const offset = seconds >= day ? new Date(first * 1000).getTimezoneOffset() * minute : 0;
  const begin = Math.floor((first - offset) / seconds) * seconds + offset;
  const length = Math.floor((last - begin) / seconds) + 1;
  const counts = outcomes.map(() => Array.from({ length }, () => 0));
  const outcome = jobs.column("outcome");
  for (const row of rows) {
    const bin = Math.floor((jobs.timeOf(row) - begin) / seconds);
    const column = counts[outcome[row] ?? 0];
    if (column) column[bin] = (column[bin] ?? 0) + 1;
  }
  return { seconds, starts: Array.from({ length }, (_, bin) => begin + bin * seconds), counts };
}

/** Bars of jobs over time, one outcome on the other; `onHover` gets the bin under the pointer. */
export function drawOverTime(box: HTMLElement, bins: TimeBins, onHover: (bin: number | undefined) => void): void {
  // The highest sums first, so that each bar covers the lower part of the one before it.
  const sums = bins.counts.map((_, place) =>
    bins.starts.map((_, bin) => bins.counts.slice(0, place + 1).reduce((sum, column) => sum + (column[bin] ?? 0), 0)),
  );
  const order = [...outcomes.keys()].toReversed();
  const paths = uPlot.paths.bars?.({ size: [0.86, 60], align: 1 });
  draw(
    box,
    "Jobs over time, by outcome. The table below has the numbers.",
    {
      cursor: { points: { show: false }, drag: { x: false, y: false }, y: false },
      scales: {
        x: { range: (_, min, max) => [min, max + bins.seconds] },
        y: { range: (_, __, max) => [0, Math.max(1, max * 1.05)] },
      },
      axes: [
        axis({ space: 64, size: 44, values: (_, splits, __, ___, step) => splits.map((at) => tick(at, step < day)) }),
        axis({ size: 56, values: (_, splits) => splits.map((value) => (Number.isInteger(value) ? count(value) : "")) }),
      ],
      series: [
        {},
        ...order.map((place): uPlot.Series => {
          const fill = colour(outcomes[place] ?? "");
          return {
            label: outcomes[place] ?? "",
            fill,
            stroke: fill,
            width: 0,
            points: { show: false },
            ...(paths ? { paths } : {}),
          };
        }),
      ],
      hooks: {
        setCursor: [
          (chart) => {
            const left = chart.cursor.left ?? -1;
            const at = left < 0 ? Number.NaN : chart.posToVal(left, "x");
            const bin = Math.floor((at - (bins.starts[0] ?? 0)) / bins.seconds);
            onHover(bins.starts[bin] === undefined ? undefined : bin);
          },
        ],
      },
    },
    [[...bins.starts], ...order.map((place) => sums[place] ?? [])],
  );
}

/** How many durations are in each part of a logarithmic scale; `bounds` has one more than `counts`. */
export interface Histogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

/** Counts sorted durations by a scale of 1, 2, 5, 10, … where seconds are short, and of minutes and hours where they are long. */
export function histogram(sorted: Float64Array): Histogram {
  const scale = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];
  const longer = [4, 8, 16, 24, 48, 96, 192, 384, 768, 1536].map((hours) => hours * hour);
  const all = [...scale, ...longer, Number.POSITIVE_INFINITY];
  const counts = all.slice(1).map((bound, place) => below(sorted, bound) - below(sorted, all[place] ?? 0));
  const first = counts.findIndex((value) => value > 0);
  const last = counts.findLastIndex((value) => value > 0);
  if (first === -1) return { bounds: [], counts: [] };
  return { bounds: all.slice(first, last + 2), counts: counts.slice(first, last + 1) };
}

/** How many sorted values are below a bound. */
function below(sorted: Float64Array, bound: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Bars of a distribution of durations. */
export function drawHistogram(box: HTMLElement, label: string, { bounds, counts }: Histogram): void {
  const fill = colour("accent");
  const paths = uPlot.paths.bars?.({ size: [0.9, 90], align: 1 });
  const every = Math.max(1, Math.ceil(counts.length / Math.max(2, Math.floor(box.clientWidth / 75))));
  const boundAt = (place: number) => {
    const bound = bounds[place];
    return bound === undefined || place % every !== 0 ? "" : Number.isFinite(bound) ? duration(bound) : "more";
  };
  draw(
    box,
    `${label}. The table below has the numbers.`,
    {
      cursor: { show: false },
      scales: {
        x: { time: false, range: [0, counts.length] },
        y: { range: (_, __, max) => [0, Math.max(1, max * 1.05)] },
      },
      axes: [
        axis({
          size: 34,
          splits: () => [...bounds.keys()],
          values: (_, splits) => splits.map(boundAt),
          grid: { show: false },
        }),
        axis({ size: 56, values: (_, splits) => splits.map((value) => (Number.isInteger(value) ? count(value) : "")) }),
      ],
      series: [{}, { fill, stroke: fill, width: 0, points: { show: false }, ...(paths ? { paths } : {}) }],
    },
    [[...counts.keys()], [...counts]],
  );
}

/** What the colours of outcomes mean. */
export function outcomeLegend(): HTMLElement {
  const meanings = {
    passed: "passed",
    failed: "failed by the job's own fault",
    error: "failed by the site's or the program's",
    stopped: "stopped by the runner",
  } as const;
  return element(
    "ul",
    { class: "legend" },
    ...outcomes.map((outcome) =>
      element("li", {}, element("span", { class: `mark ${outcome}`, "aria-hidden": "true" }), meanings[outcome]),
    ),
  );
}
