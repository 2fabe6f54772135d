import { element } from "./dom.ts";
import { count } from "./format.ts";

/** A column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => Node | string;
  /** By which rows are sorted: numbers with the largest first, texts from A on. */
  readonly key: (row: Row) => number | string;
  /** Numbers stand on the right. */
  readonly number?: boolean;
}

const firstRows = 10;

/**
 * A table that is sorted by a click on a title, of which the first rows are shown until all are asked for. It scrolls in
 * itself where the page is too narrow for it.
 */
export function table<Row>(caption: string, columns: readonly Column<Row>[], rows: readonly Row[]): HTMLElement {
  let all = false;
  let by = -1;
  let descending = true;
  const body = element("tbody");
  const more = element("button", { type: "button", class: "more" });
  const heads = columns.map(({ title, number }, place) => {
    const button = element("button", { type: "button" }, title);
    button.addEventListener("click", () => {
      descending = by === place ? !descending : number === true;
      by = place;
      draw();
    });
    return element("th", { scope: "col", class: number === true ? "number" : "text" }, button);
  });
  more.addEventListener("click", () => {
    all = !all;
    draw();
  });
  function draw(): void {
    for (const [place, head] of heads.entries()) {
      if (place === by) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const shown = sorted(rows, columns[by], descending).slice(0, all ? undefined : firstRows);
    body.replaceChildren(...shown.map((row) => rowOf(columns, row)));
    more.hidden = rows.length <= firstRows;
    more.textContent = all ? "Show fewer" : `Show all ${count(rows.length)}`;
  }
  draw();
  const head = element("thead", {}, element("tr", {}, ...heads));
  const title = element("caption", { class: "hidden" }, caption);
  const scroller = element(
    "div",
    { class: "scroller", role: "region", "aria-label": caption, tabindex: 0 },
    element("table", {}, title, head, body),
  );
  return element("div", {}, scroller, more);
}

function rowOf<Row>(columns: readonly Column<Row>[], row: Row): HTMLElement {
  const cells = columns.map(({ cell, number }, place) =>
    place === 0
      ? element("th", { scope: "row" }, cell(row))
      : element("td", { class: number === true ? "number" : "text" }, cell(row)),
  );
  return element("tr", {}, ...cells);
}

function sorted<Row>(rows: readonly Row[], column: Column<Row> | undefined, descending: boolean): readonly Row[] {
  if (column === undefined) return rows;
  const order = (a: Row, b: Row) => {
    const [x, y] = [column.key(a), column.key(b)];
    if (typeof x === "number" && typeof y === "number") return (Number.isNaN(x) ? -1 : x) - (Number.isNaN(y) ? -1 : y);
    return String(x).localeCompare(String(y));
  };
  return rows.toSorted((a, b) => (descending ? order(b, a) : order(a, b)));
}
