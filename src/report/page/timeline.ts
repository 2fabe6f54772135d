import { type Detail, type DetailStage, outcomes } from "../page-data.ts";
import { element, isolated, svg } from "./dom.ts";
import { duration, moment, stepTitle } from "./format.ts";
import type { Jobs } from "./jobs.ts";
import { table } from "./table.ts";

/** The kinds of time in a job, each with a colour. */
const kinds = {
  queue: "waiting in the queue",
  image: "image",
  start: "starting",
  script: "script",
  end: "ending and cleaning up",
} as const;
type Kind = keyof typeof kinds;

const kindOfStep: Readonly<Record<string, Kind>> = {
  queue: "queue",
  pull: "image",
  trial: "image",
  archive: "image",
  directories: "start",
  prep_script: "start",
  login: "start",
  container: "start",
  script: "script",
  end: "end",
  containers: "end",
  processes: "end",
  files: "end",
};

function kindOf(step: string): Kind {
  return Object.hasOwn(kindOfStep, step) ? (kindOfStep[step] ?? "start") : "start";
}

/** One job: what is known of it, its stages and steps along its time, and the same as a table. */
export function timeline(jobs: Jobs, detail: Detail): HTMLElement {
  const { lists } = jobs.data;
  const text = (list: readonly string[], column: "project" | "account" | "executor" | "error") =>
    list[jobs.column(column)[detail.row] ?? 0] ?? "";
  const outcome = jobs.outcomeOf(detail.row);
  const code = text(lists.errors, "error");
  const facts: readonly (readonly [string, string])[] = [
    ["Outcome", code === "" ? outcome : `${outcome}: ${code}`],
    ["Began", moment(jobs.timeOf(detail.row))],
    ["Took", duration(jobs.seconds("total", detail.row))],
    ["Overhead", duration(jobs.seconds("overhead", detail.row))],
    ["Project", text(lists.projects, "project")],
    ["User", text(lists.accounts, "account")],
    ["Executor", text(lists.executors, "executor")],
    ...detail.facts,
  ];
  return element(
    "article",
    { class: "job" },
    element("h3", {}, `Job ${detail.job} `, isolated(detail.name)),
    element(
      "dl",
      { class: "facts" },
      ...facts
        .filter(([, value]) => value !== "")
        .toSorted(([, a], [, b]) => Number(isWide(a)) - Number(isWide(b)))
        .map(([name, value]) =>
          element(
            "div",
            { class: isWide(value) ? "wide" : "" },
            element("dt", {}, name),
            element("dd", {}, isolated(value)),
          ),
        ),
    ),
    bars(detail),
    legend(),
    stepTable(detail.stages),
  );
}

/** Whether a value has a line of its own. */
function isWide(value: string): boolean {
  return value.length > 34;
}

/** Where a time is along the job, in percent of its length. */
function place(seconds: number, whole: number): number {
  return whole === 0 ? 0 : Math.min(100, (100 * seconds) / whole);
}

function bars({ stages }: Detail): HTMLElement {
  const whole = stages.reduce((longest, [, at, seconds]) => Math.max(longest, at + seconds), 0);
  const rows = stages.map(([name, at, seconds, outcome, , steps]) => {
    const bar = (kind: string, from: number, length: number, title: string) =>
      svg(
        "rect",
        {
          class: kind,
          x: `${place(from, whole).toFixed(3)}%`,
          width: `${Math.max(0.25, place(length, whole)).toFixed(3)}%`,
          y: kind === "whole" ? 3 : 6,
          height: kind === "whole" ? 18 : 12,
          rx: 2,
        },
        svg("title", {}, title),
      );
    const drawing = svg(
      "svg",
      { width: "100%", height: 24, "aria-hidden": "true", focusable: "false" },
      bar("whole", at, seconds, `${name}: ${duration(seconds)}`),
      ...steps.map(([step, from, length]) =>
        bar(`kind-${kindOf(step)}`, at + from, length, `${stepTitle(step)}: ${duration(length)}`),
      ),
    );
    const mark = element("span", { class: `mark ${outcomes[outcome] ?? "passed"}`, title: outcomes[outcome] ?? "" });
    return element(
      "div",
      { class: "stage" },
      element("div", { class: "name" }, mark, isolated(name)),
      element("div", { class: "track" }, drawing),
      element("div", { class: "length" }, duration(seconds)),
    );
  });
  const ticks = element("div", { class: "ticks" }, element("span", {}, "0 s"), element("span", {}, duration(whole)));
  return element(
    "div",
    { class: "stages", role: "img", "aria-label": "Stages along time; the table below has the numbers" },
    ...rows,
    ticks,
  );
}

function legend(): HTMLElement {
  return element(
    "ul",
    { class: "legend" },
    ...Object.entries(kinds).map(([kind, title]) =>
      element("li", {}, element("span", { class: `mark kind-${kind}`, "aria-hidden": "true" }), title),
    ),
  );
}

interface StepRow {
  readonly order: number;
  readonly stage: string;
  readonly step: string;
  readonly at: number;
  readonly seconds: number;
  readonly end: string;
}

function stepTable(stages: readonly DetailStage[]): HTMLElement {
  const rows: StepRow[] = stages.flatMap(([stage, at, seconds, outcome, error, steps], order) => [
    { order, stage, step: "", at, seconds, end: error === "" ? (outcomes[outcome] ?? "") : error },
    ...steps.map(([step, from, length]) => ({
      order,
      stage,
      step: stepTitle(step),
      at: at + from,
      seconds: length,
      end: "",
    })),
  ]);
  return element(
    "details",
    {},
    element("summary", {}, "Stages and steps as a table"),
    table<StepRow>(
      "Stages and steps of the job",
      [
        { title: "Stage", cell: ({ stage }) => isolated(stage), key: ({ order }) => order },
        { title: "Step", cell: ({ step }) => step, key: ({ step }) => step },
        { title: "Began after", cell: ({ at }) => duration(at), key: ({ at }) => at, number: true },
        { title: "Took", cell: ({ seconds }) => duration(seconds), key: ({ seconds }) => seconds, number: true },
        { title: "Ended", cell: ({ end }) => end, key: ({ end }) => end },
      ],
      rows,
    ),
  );
}
