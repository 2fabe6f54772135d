import type { PageData } from "../page-data.ts";
import { element, fill, isolated } from "./dom.ts";
import { filters } from "./filters.ts";
import { count, moment } from "./format.ts";
import { Jobs } from "./jobs.ts";
import { Picker } from "./picker.ts";
import { distribution, failures, images, overTime, perGroup, type Section, slowest, tiles } from "./sections.ts";

function readData(): PageData {
  const data: unknown = JSON.parse(document.getElementById("data")?.textContent ?? "");
  if (!isPageData(data)) throw new Error("the page holds no data that this script knows");
  return data;
}

/** It was made by the same program as this script, so its version tells all. */
function isPageData(data: unknown): data is PageData {
  return typeof data === "object" && data !== null && "version" in data && data.version === 1;
}

function build(page: HTMLElement): void {
  const data = readData();
  const jobs = new Jobs(data);
  const { lists } = data;
  const picker = new Picker(jobs);
  const parts: readonly Section[] = [
    tiles(jobs),
    overTime(jobs),
    distribution(jobs, "Queue time", "From handing a job to the scheduler until it started.", "queue"),
    distribution(
      jobs,
      "Overhead",
      "What the stages of a job took beside its scripts and the queue: images, containers, shells, this program.",
      "overhead",
    ),
    slowest(jobs),
    failures(jobs, (row) => picker.show(row)),
    images(jobs),
    perGroup(jobs, "Projects", "project", lists.projects),
    perGroup(jobs, "Users", "account", lists.accounts),
    perGroup(jobs, "Executors", "executor", lists.executors),
  ];
  const all = Uint32Array.from({ length: data.count }, (_, row) => row);
  let chosen: Uint32Array = all;
  const update = () => {
    for (const part of parts) part.update(chosen);
  };
  const choices = filters(jobs, (rows) => {
    chosen = rows;
    update();
  });
  const [tileList, time, queue, overhead, ...rest] = parts.map((part) => part.element);
  fill(
    page,
    header(jobs),
    choices,
    tileList,
    time,
    element("div", { class: "pair" }, queue, overhead),
    ...rest,
    picker.element,
    footer(data),
  );
  update();
  // Charts are painted, so they do not follow the style sheet by themselves.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  document.documentElement.dataset["ready"] = String(Math.round(performance.now()));
}

function header(jobs: Jobs): HTMLElement {
  const { title, count: all } = jobs.data;
  const period = all === 0 ? "" : `${count(all)} jobs, ${moment(jobs.timeOf(0))} to ${moment(jobs.timeOf(all - 1))}`;
  return element("header", {}, element("h1", {}, isolated(title)), element("p", {}, period));
}

function footer({ made, program, foreignLines, forgedLines }: PageData): HTMLElement {
  const notes = [
    `Made ${moment(Date.parse(made) / 1000)} by jacamar ${program}. Times are those of this browser's time zone.`,
    foreignLines > 0 ? ` ${count(foreignLines)} lines of the files were none of the record.` : "",
    forgedLines > 0 ? ` ${count(forgedLines)} lines were of another account than their file, and were left out.` : "",
  ];
  return element("footer", {}, element("p", {}, notes.join("")));
}

const page = document.getElementById("page");
if (page) build(page);
