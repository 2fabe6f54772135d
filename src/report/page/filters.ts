import { type ColumnName, outcomes } from "../page-data.ts";
import { element } from "./dom.ts";
import { count } from "./format.ts";
import type { Jobs } from "./jobs.ts";

interface Filter {
  readonly title: string;
  readonly column: ColumnName;
  readonly texts: readonly string[];
}

/** The choices at the top of the page; `onChange` gets the rows that fit all of them. */
export function filters(jobs: Jobs, onChange: (rows: Uint32Array) => void): HTMLElement {
  const { lists } = jobs.data;
  const all: readonly Filter[] = [
    { title: "Project", column: "project", texts: lists.projects },
    { title: "User", column: "account", texts: lists.accounts },
    { title: "Executor", column: "executor", texts: lists.executors },
    { title: "Instance", column: "instance", texts: lists.instances },
    { title: "Outcome", column: "outcome", texts: outcomes },
  ];
  const chosen = new Map<ColumnName, number>();
  const shown = all.filter(({ column }) => new Set(jobs.column(column)).size > 1);
  const controls = shown.map((filter) =>
    element(
      "label",
      {},
      element("span", {}, filter.title),
      choice(jobs, filter, (place) => {
        if (place === undefined) chosen.delete(filter.column);
        else chosen.set(filter.column, place);
        onChange(matching(jobs, chosen));
      }),
    ),
  );
  return element("form", { class: "filters", "aria-label": "Filters", autocomplete: "off" }, ...controls);
}

function choice(jobs: Jobs, filter: Filter, onChoose: (place: number | undefined) => void): HTMLSelectElement {
  const counts = new Uint32Array(filter.texts.length);
  for (const place of jobs.column(filter.column)) counts[place] = (counts[place] ?? 0) + 1;
  const places = [...filter.texts.keys()]
    .filter((place) => (counts[place] ?? 0) > 0)
    .toSorted((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0));
  const select = element(
    "select",
    {},
    element("option", { value: "" }, "all"),
    ...places.map((place) =>
      element("option", { value: place }, `${filter.texts[place] || "not known"} (${count(counts[place] ?? 0)})`),
    ),
  );
  select.addEventListener("change", () => onChoose(select.value === "" ? undefined : Number(select.value)));
  return select;
}

function matching(jobs: Jobs, chosen: ReadonlyMap<ColumnName, number>): Uint32Array {
  const conditions = [...chosen].map(([name, place]) => [jobs.column(name), place] as const);
  const rows = new Uint32Array(jobs.data.count);
  let length = 0;
  for (let row = 0; row < jobs.data.count; row += 1) {
    if (!conditions.every(([column, place]) => column[row] === place)) continue;
    rows[length] = row;
    length += 1;
  }
  return rows.subarray(0, length);
}
