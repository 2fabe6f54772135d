import type { Detail } from "../page-data.ts";
import { element, fill, isolated } from "./dom.ts";
import { count, duration, moment } from "./format.ts";
import type { Jobs } from "./jobs.ts";
import { timeline } from "./timeline.ts";

const mostFound = 8;

/** Finds a job by its number, name, project or user, and shows it. */
export class Picker {
  readonly element: HTMLElement;
  readonly #jobs: Jobs;
  readonly #shown = element("div", { "aria-live": "polite" });
  readonly #found = element("ul", { class: "found" });
  readonly #input = element("input", {
    type: "search",
    id: "search",
    placeholder: "Number, name, project or user",
    autocomplete: "off",
  });

  constructor(jobs: Jobs) {
    this.#jobs = jobs;
    const { details, count: all } = jobs.data;
    const part =
      details.length < all
        ? `This page has ${count(details.length)} of ${count(all)} jobs one by one: the newest, the longest and the failed ones. For another: jacamar report --job NUMBER`
        : "";
    this.#input.addEventListener("input", () => this.#find());
    this.element = element(
      "section",
      { id: "job" },
      element("h2", {}, "A single job"),
      element("p", { class: "note" }, part),
      element("label", { for: "search", class: "hidden" }, "Find a job"),
      this.#input,
      this.#found,
      this.#shown,
    );
    this.#find();
    const first = details.findLast(({ row }) => jobs.outcomeOf(row) !== "passed") ?? details.at(-1);
    if (first) this.#show(first);
  }

  /** Shows the job of a row, and brings it into view. */
  show(row: number): void {
    const detail = this.#jobs.data.details.find((each) => each.row === row);
    if (!detail) return;
    this.#show(detail);
    this.#shown.scrollIntoView({ block: "start" });
  }

  #show(detail: Detail): void {
    fill(this.#shown, timeline(this.#jobs, detail));
  }

  #find(): void {
    const wanted = this.#input.value.trim().toLowerCase();
    const { details } = this.#jobs.data;
    const found: Detail[] = [];
    for (let place = details.length - 1; place >= 0 && found.length < mostFound; place -= 1) {
      const detail = details[place];
      if (detail && (wanted === "" || this.#words(detail).includes(wanted))) found.push(detail);
    }
    fill(
      this.#found,
      ...(found.length === 0
        ? [element("li", {}, "No job on this page is like that.")]
        : found.map((detail) => this.#item(detail))),
    );
  }

  #words({ row, job, name }: Detail): string {
    return `${job} ${name} ${this.#text("project", row)} ${this.#text("account", row)}`.toLowerCase();
  }

  #text(column: "project" | "account", row: number): string {
    const list = column === "project" ? this.#jobs.data.lists.projects : this.#jobs.data.lists.accounts;
    return list[this.#jobs.column(column)[row] ?? 0] ?? "";
  }

  #item(detail: Detail): HTMLElement {
    const { row, job, name } = detail;
    const outcome = this.#jobs.outcomeOf(row);
    const button = element(
      "button",
      { type: "button" },
      element("span", { class: `mark ${outcome}`, "aria-hidden": "true" }),
      element(
        "span",
        {},
        `${job} `,
        isolated(name),
        ` · `,
        isolated(this.#text("project", row)),
        ` · ${outcome} · ${moment(this.#jobs.timeOf(row))} · ${duration(this.#jobs.seconds("total", row))}`,
      ),
    );
    button.addEventListener("click", () => this.#show(detail));
    return element("li", {}, button);
  }
}
