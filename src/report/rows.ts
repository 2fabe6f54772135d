import type { JobLine } from "../record/line.ts";
import { type StepName, stepNames } from "../measure/measurements.ts";
import {
  type ColumnName,
  type Lists,
  type NarrowColumn,
  narrowColumns,
  outcomes,
  packSeconds,
  type WideColumn,
  wideColumns,
} from "./page-data.ts";

const mostPlaces = 65_535;
const listNames = ["projects", "accounts", "executors", "errors", "images", "instances"] as const;

/** Steps that have a column of that name; the queue has one of its own. */
const stepColumns: readonly (readonly [StepName, NarrowColumn])[] = stepNames
  .filter((name) => name !== "queue")
  .map((name) => [name, `step_${name}`]);

/** The columns of the page's data while they grow: of a hundred thousand jobs only numbers are kept. */
export class Rows {
  readonly #wide: Record<WideColumn, Uint32Array<ArrayBuffer>> = { time: words(), project: words(), image: words() };
  readonly #narrow = new Map<NarrowColumn, Uint16Array<ArrayBuffer>>(
    narrowColumns.map((name) => [name, new Uint16Array(0)]),
  );
  readonly #lists = Object.fromEntries(listNames.map((name) => [name, new Places()]));
  #capacity = 0;
  count = 0;

  /** Puts a job at a row, a new one or one that is there. Its time is in seconds since 1970. */
  set(row: number, line: JobLine, attempts: number): void {
    if (row >= this.#capacity) this.#grow();
    this.count = Math.max(this.count, row + 1);
    const list = (name: keyof Lists, text: string | undefined) => this.#lists[name]?.of(text) ?? 0;
    const put = (name: NarrowColumn, value: number) => {
      const column = this.#narrow.get(name);
      if (column) column[row] = value;
    };
    this.#wide.time[row] = Math.max(0, Math.floor(Date.parse(line.time) / 1000));
    this.#wide.project[row] = list(
      "projects",
      line.project_full_path ?? ((line.project && `project ${line.project}`) || undefined),
    );
    this.#wide.image[row] = list("images", line.image);
    put("outcome", outcomes.indexOf(line.outcome));
    put("account", list("accounts", line.account));
    put("executor", list("executors", line.executor));
    put("error", list("errors", line.error));
    put("instance", list("instances", line.instance));
    put("cache", line.cache === "hit" ? 1 : line.cache === "pulled" ? 2 : 0);
    put("attempts", Math.min(attempts, mostPlaces));
    put("total", packSeconds(line.seconds));
    put("script", packSeconds(line.script_seconds));
    put("overhead", packSeconds(line.overhead_seconds));
    put("queue", packSeconds(line.queue_seconds));
    for (const [name, column] of stepColumns) put(column, packSeconds(line.step_seconds[name]));
  }

  get(name: ColumnName, row: number): number {
    return (isWide(name) ? this.#wide[name][row] : this.#narrow.get(name)?.[row]) ?? 0;
  }

  /** Columns in another order, as base64 of their bytes, little-endian as all machines are that this runs on. */
  columns(order: Uint32Array, from: number): Readonly<Record<ColumnName, string>>;
  columns(order: Uint32Array, from: number): object {
    const columns = new Map<string, string>();
    for (const name of wideColumns) {
      const less = name === "time" ? from : 0;
      columns.set(name, base64(inOrder(this.#wide[name], order, new Uint32Array(order.length), less)));
    }
    for (const [name, column] of this.#narrow) {
      columns.set(name, base64(inOrder(column, order, new Uint16Array(order.length), 0)));
    }
    return Object.fromEntries(columns);
  }

  lists(): Lists {
    const texts = (name: keyof Lists) => this.#lists[name]?.texts ?? [];
    return {
      projects: texts("projects"),
      accounts: texts("accounts"),
      executors: texts("executors"),
      errors: texts("errors"),
      images: texts("images"),
      instances: texts("instances"),
    };
  }

  #grow(): void {
    this.#capacity = Math.max(1024, this.#capacity * 2);
    for (const name of wideColumns) this.#wide[name] = grown(this.#wide[name], new Uint32Array(this.#capacity));
    for (const [name, column] of this.#narrow) this.#narrow.set(name, grown(column, new Uint16Array(this.#capacity)));
  }
}

function words(): Uint32Array<ArrayBuffer> {
  return new Uint32Array(0);
}

function grown<T extends Uint32Array | Uint16Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

function inOrder<T extends Uint32Array | Uint16Array>(column: T, order: Uint32Array, into: T, less: number): T {
  for (let place = 0; place < order.length; place += 1) into[place] = (column[order[place] ?? 0] ?? 0) - less;
  return into;
}

function isWide(name: ColumnName): name is WideColumn {
  return name === "time" || name === "project" || name === "image";
}

function base64(values: Uint32Array | Uint16Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}

/** Gives each text a place, 0 to none. */
class Places {
  readonly texts: string[] = [""];
  readonly #places = new Map<string, number>([["", 0]]);

  of(text: string | undefined): number {
    if (text === undefined) return 0;
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    if (this.texts.length > mostPlaces) return mostPlaces;
    const place = this.texts.push(this.texts.length === mostPlaces ? "(others)" : text) - 1;
    this.#places.set(text, place);
    return place;
  }
}
