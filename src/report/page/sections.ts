import { type NarrowColumn, narrowColumns, outcomes } from "../page-data.ts";
import {
  drawHistogram,
  drawOverTime,
  type Histogram,
  histogram,
  outcomeLegend,
  type TimeBins,
  timeBins,
} from "./charts.ts";
import { element, fill, isolated, svg } from "./dom.ts";
import { count, duration, moment, percent, stepTitle } from "./format.ts";
import { type Jobs, quantile, total } from "./jobs.ts";
import { type Column, table } from "./table.ts";

/** A part of the page, and how it is drawn for the jobs that are chosen. */
export interface Section {
  readonly element: HTMLElement;
  update(rows: Uint32Array): void;
}

/** A part with a title, whose content is made anew for the jobs that are chosen. */
export function section(title: string, note: string, content: (rows: Uint32Array) => readonly Node[]): Section {
  const body = element("div");
  return {
    element: element("section", {}, element("h2", {}, title), element("p", { class: "note" }, note), body),
    update: (rows) =>
      fill(body, ...(rows.length === 0 ? [element("p", {}, "No job fits the filters.")] : content(rows))),
  };
}

/** The numbers that tell most, at the top. */
export function tiles(jobs: Jobs): Section {
  const list = element("ul", { class: "tiles" });
  return {
    element: list,
    update: (rows) => {
      const ends = outcomes.map((_, place) => countOf(jobs, "outcome", rows, place));
      const [passed = 0, failed = 0, error = 0] = ends;
      const queue = jobs.sortedSeconds("queue", rows);
      const overhead = jobs.sortedSeconds("overhead", rows);
      const [hits, pulled] = [countOf(jobs, "cache", rows, 1), countOf(jobs, "cache", rows, 2)];
      const all: readonly (readonly [string, string, string])[] = [
        ["Jobs", count(rows.length), ""],
        ["Passed", percent(passed, rows.length), `${count(passed)} jobs`],
        ["Failed themselves", percent(failed, rows.length), `${count(failed)} jobs`],
        ["Errors of the site", percent(error, rows.length), `${count(error)} jobs`],
        ["Queue, median", duration(quantile(queue, 0.5)), `95 % below ${duration(quantile(queue, 0.95))}`],
        ["Overhead, median", duration(quantile(overhead, 0.5)), `95 % below ${duration(quantile(overhead, 0.95))}`],
        ["Images already there", percent(hits, hits + pulled), `${count(pulled)} pulled`],
        ["Scripts ran", duration(total(jobs.sortedSeconds("script", rows))), "in all"],
      ];
      fill(
        list,
        ...all
          .filter(([, value]) => value !== "–")
          .map(([title, value, more]) =>
            element(
              "li",
              {},
              element("span", { class: "title" }, title),
              element("strong", {}, value),
              element("span", { class: "more" }, more),
            ),
          ),
      );
    },
  };
}

function countOf(jobs: Jobs, column: NarrowColumn, rows: Uint32Array, place: number): number {
  const values = jobs.column(column);
  let found = 0;
  for (const row of rows) if (values[row] === place) found += 1;
  return found;
}

/** How many jobs ran when, and how they ended. */
export function overTime(jobs: Jobs): Section {
  const box = element("div", { class: "chart" });
  const readout = element("p", { class: "readout" });
  return section("Jobs over time", "", (rows) => {
    const bins = timeBins(jobs, rows);
    const tell = (bin: number | undefined) => {
      readout.textContent = bin === undefined ? `Each bar is ${duration(bins.seconds)}.` : tellBin(bins, bin);
    };
    tell(undefined);
    // The box has its width when it is on the page.
    requestAnimationFrame(() => drawOverTime(box, bins, tell));
    return [box, readout, outcomeLegend(), numbers(binTable(bins))];
  });
}

function tellBin({ starts, counts }: TimeBins, bin: number): string {
  const parts = outcomes.map((outcome, place) => `${count(counts[place]?.[bin] ?? 0)} ${outcome}`);
  return `From ${moment(starts[bin] ?? 0)}: ${parts.join(", ")}`;
}

function binTable({ starts, counts }: TimeBins): HTMLElement {
  const columns: Column<number>[] = [
    { title: "From", cell: (bin) => moment(starts[bin] ?? 0), key: (bin) => starts[bin] ?? 0 },
    ...outcomes.map((outcome, place): Column<number> => {
      const value = (bin: number) => counts[place]?.[bin] ?? 0;
      return { title: outcome, cell: (bin) => count(value(bin)), key: value, number: true };
    }),
  ];
  return table("Jobs over time", columns, [...starts.keys()]);
}

function numbers(content: HTMLElement): HTMLElement {
  return element("details", {}, element("summary", {}, "The same as a table"), content);
}

/** How a duration is distributed. */
export function distribution(jobs: Jobs, title: string, note: string, column: NarrowColumn): Section {
  const box = element("div", { class: "chart" });
  return section(title, note, (rows) => {
    const sorted = jobs.sortedSeconds(column, rows);
    if (sorted.length === 0) return [element("p", {}, "None of these jobs has it.")];
    const bars = histogram(sorted);
    requestAnimationFrame(() => drawHistogram(box, title, bars));
    const shares = [0.5, 0.9, 0.95, 0.99] as const;
    const told = [
      ...shares.map((share): [string, string] => [
        share === 0.5 ? "Median" : `${share * 100} % below`,
        duration(quantile(sorted, share)),
      ]),
      ["Longest", duration(sorted.at(-1) ?? Number.NaN)] as const,
      ["Jobs", count(sorted.length)] as const,
    ];
    const facts = told.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    return [box, element("dl", { class: "facts" }, ...facts), numbers(histogramTable(title, bars))];
  });
}

function histogramTable(title: string, { bounds, counts }: Histogram): HTMLElement {
  const upper = (place: number) => bounds[place + 1] ?? Number.POSITIVE_INFINITY;
  const columns: Column<number>[] = [
    { title: "From", cell: (place) => duration(bounds[place] ?? 0), key: (place) => bounds[place] ?? 0, number: true },
    {
      title: "To",
      cell: (place) => (Number.isFinite(upper(place)) ? duration(upper(place)) : "longer"),
      key: upper,
      number: true,
    },
    { title: "Jobs", cell: (place) => count(counts[place] ?? 0), key: (place) => counts[place] ?? 0, number: true },
  ];
  return table(title, columns, [...counts.keys()]);
}

interface StepRow {
  readonly name: string;
  readonly values: Float64Array;
  readonly sum: number;
}

/** What took the time, beside the scripts. */
export function slowest(jobs: Jobs): Section {
  const note =
    "All that a job spends beside its script, and beside the runner's scripts for Git, caches and artifacts; the largest in all first.";
  return section("Where the time goes", note, (rows) => {
    const steps = narrowColumns
      .filter((column) => column.startsWith("step_") && column !== "step_script")
      .map((column) => stepRow(stepTitle(column.slice("step_".length)), jobs.sortedSeconds(column, rows)));
    const all = [stepRow("Queue", jobs.sortedSeconds("queue", rows)), ...steps]
      .filter(({ values }) => values.length > 0)
      .toSorted((a, b) => b.sum - a.sum);
    const most = Math.max(...all.map(({ sum }) => sum));
    const at = (share: number) => (row: StepRow) => quantile(row.values, share);
    const times = (title: string, key: (row: StepRow) => number): Column<StepRow> => ({
      title,
      cell: (row) => duration(key(row)),
      key,
      number: true,
    });
    return [
      table<StepRow>(
        "Where the time goes",
        [
          { title: "Step", cell: ({ name }) => name, key: ({ name }) => name },
          {
            title: "Jobs",
            cell: ({ values }) => count(values.length),
            key: ({ values }) => values.length,
            number: true,
          },
          times("Median", at(0.5)),
          times("95 % below", at(0.95)),
          times("Longest", (row) => row.values.at(-1) ?? Number.NaN),
          {
            title: "In all",
            cell: ({ sum }) => meter(sum, most),
            key: ({ sum }) => sum,
            number: true,
          },
        ],
        all,
      ),
    ];
  });
}

function stepRow(name: string, values: Float64Array): StepRow {
  return { name, values, sum: total(values) };
}

/** A duration with a bar beside it that shows its part of the largest. */
function meter(value: number, most: number): HTMLElement {
  const width = `${((100 * value) / (most || 1)).toFixed(2)}%`;
  const bar = svg(
    "svg",
    { width: 90, height: 10, "aria-hidden": "true" },
    svg("rect", { class: "part", width, height: 10, rx: 2 }),
  );
  return element("span", { class: "metered" }, bar, duration(value));
}

interface ImageRow {
  readonly name: string;
  readonly rows: Uint32Array;
  readonly hits: number;
  readonly pulled: number;
  readonly pull: Float64Array;
}

/** Which images jobs had, and how often they were there already. */
export function images(jobs: Jobs): Section {
  return section("Images", "How often an image was on the machine already, and how long bringing it took.", (rows) => {
    const all = groups(jobs.column("image"), rows)
      .filter(([place]) => place !== 0)
      .map(([place, own]): ImageRow => {
        const [hits, pulled] = [countOf(jobs, "cache", own, 1), countOf(jobs, "cache", own, 2)];
        const name = jobs.data.lists.images[place] ?? "";
        return { name, rows: own, hits, pulled, pull: jobs.sortedSeconds("step_pull", own) };
      });
    if (all.length === 0) return [element("p", {}, "None of these jobs has an image.")];
    return [
      table<ImageRow>(
        "Images",
        [
          { title: "Image", cell: ({ name }) => isolated(name), key: ({ name }) => name },
          {
            title: "Jobs",
            cell: ({ rows: own }) => count(own.length),
            key: ({ rows: own }) => own.length,
            number: true,
          },
          {
            title: "Was there",
            cell: ({ hits, pulled }) => percent(hits, hits + pulled),
            key: ({ hits, pulled }) => hits / (hits + pulled),
            number: true,
          },
          { title: "Pulled", cell: ({ pulled }) => count(pulled), key: ({ pulled }) => pulled, number: true },
          {
            title: "Median",
            cell: ({ pull }) => duration(quantile(pull, 0.5)),
            key: ({ pull }) => quantile(pull, 0.5),
            number: true,
          },
          {
            title: "95 % below",
            cell: ({ pull }) => duration(quantile(pull, 0.95)),
            key: ({ pull }) => quantile(pull, 0.95),
            number: true,
          },
        ],
        all,
      ),
    ];
  });
}

/** Rows by the place that a column has for them, the largest group first. */
function groups(column: Uint32Array | Uint16Array, rows: Uint32Array): [place: number, rows: Uint32Array][] {
  const found = new Map<number, number[]>();
  for (const row of rows) {
    const place = column[row] ?? 0;
    const own = found.get(place);
    if (own) own.push(row);
    else found.set(place, [row]);
  }
  return [...found]
    .map(([place, own]): [number, Uint32Array] => [place, Uint32Array.from(own)])
    .toSorted(([, a], [, b]) => b.length - a.length);
}

interface FailureRow {
  readonly code: string;
  readonly rows: Uint32Array;
}

const blames: Readonly<Record<string, string>> = { job: "the job", site: "the site", driver: "this program" };
const examples = 3;

/** What went wrong, by code; `show` opens an example. */
export function failures(jobs: Jobs, show: (row: number) => void): Section {
  const shown = new Map(jobs.data.details.map((detail) => [detail.row, detail]));
  const note = "By error code. Numbers lead to the job below.";
  return section("Failures", note, (rows) => {
    const all = groups(jobs.column("error"), rows)
      .filter(([place]) => place !== 0)
      .map(([place, own]): FailureRow => ({ code: jobs.data.lists.errors[place] ?? "", rows: own }));
    if (all.length === 0) return [element("p", {}, "None of these jobs failed.")];
    const about = (code: string) => (Object.hasOwn(jobs.data.errors, code) ? jobs.data.errors[code] : undefined);
    const whose = ({ code }: FailureRow) => blames[about(code)?.blame ?? ""] ?? "";
    return [
      table<FailureRow>(
        "Failures by code",
        [
          { title: "Code", cell: ({ code }) => element("code", {}, isolated(code)), key: ({ code }) => code },
          {
            title: "Jobs",
            cell: ({ rows: own }) => count(own.length),
            key: ({ rows: own }) => own.length,
            number: true,
          },
          { title: "Fault of", cell: whose, key: whose },
          { title: "Examples", cell: ({ rows: own }) => exampleButtons(own), key: ({ rows: own }) => own.length },
          { title: "Meaning", cell: ({ code }) => about(code)?.means ?? "", key: ({ code }) => code },
        ],
        all,
      ),
    ];
  });

  function exampleButtons(rows: Uint32Array): HTMLElement {
    const details = [...rows].toReversed().flatMap((row) => shown.get(row) ?? []);
    return element(
      "span",
      { class: "examples" },
      ...details.slice(0, examples).map(({ row, job }) => {
        const button = element("button", { type: "button", class: "link" }, job === "" ? "job" : job);
        button.addEventListener("click", () => show(row));
        return button;
      }),
    );
  }
}

interface GroupRow {
  readonly name: string;
  readonly rows: Uint32Array;
  readonly failed: number;
  readonly error: number;
  readonly queue: number;
  readonly overhead: number;
  readonly script: number;
}

/** The same numbers for each project, user or executor. */
export function perGroup(
  jobs: Jobs,
  title: string,
  column: "project" | "account" | "executor",
  names: readonly string[],
): Section {
  return section(title, "", (rows) => {
    const all = groups(jobs.column(column), rows).map(
      ([place, own]): GroupRow => ({
        name: names[place] || "not known",
        rows: own,
        failed: countOf(jobs, "outcome", own, 1),
        error: countOf(jobs, "outcome", own, 2),
        queue: quantile(jobs.sortedSeconds("queue", own), 0.5),
        overhead: quantile(jobs.sortedSeconds("overhead", own), 0.5),
        script: total(jobs.sortedSeconds("script", own)),
      }),
    );
    const times = (heading: string, key: (row: GroupRow) => number): Column<GroupRow> => ({
      title: heading,
      cell: (row) => duration(key(row)),
      key,
      number: true,
    });
    const share = (heading: string, part: (row: GroupRow) => number): Column<GroupRow> => ({
      title: heading,
      cell: (row) => percent(part(row), row.rows.length),
      key: (row) => part(row) / row.rows.length,
      number: true,
    });
    return [
      table<GroupRow>(
        title,
        [
          { title: "Name", cell: ({ name }) => isolated(name), key: ({ name }) => name },
          {
            title: "Jobs",
            cell: ({ rows: own }) => count(own.length),
            key: ({ rows: own }) => own.length,
            number: true,
          },
          share("Failed", ({ failed }) => failed),
          share("Errors", ({ error }) => error),
          times("Queue, median", ({ queue }) => queue),
          times("Overhead, median", ({ overhead }) => overhead),
          times("Scripts, in all", ({ script }) => script),
        ],
        all,
      ),
    ];
  });
}
