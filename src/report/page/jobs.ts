import {
  type ColumnName,
  type NarrowColumn,
  narrowColumns,
  outcomes,
  type PageData,
  unpackSeconds,
  wideColumns,
} from "../page-data.ts";

export type Outcome = (typeof outcomes)[number];

type Numbers = Uint32Array | Uint16Array;

/** The jobs as columns of numbers. */
export class Jobs {
  readonly data: PageData;
  readonly #columns = new Map<ColumnName, Numbers>();
  /** Every duration that a number of 16 bits can stand for. */
  readonly #seconds = Float64Array.from({ length: 65_536 }, (_, packed) => unpackSeconds(packed));

  constructor(data: PageData) {
    this.data = data;
    for (const name of wideColumns) this.#columns.set(name, new Uint32Array(bytes(data.columns[name])));
    for (const name of narrowColumns) this.#columns.set(name, new Uint16Array(bytes(data.columns[name])));
  }

  column(name: ColumnName): Numbers {
    const column = this.#columns.get(name);
    if (column === undefined) throw new Error(`there is no column ${name}`);
    return column;
  }

  /** The durations of some rows that are known, from short to long. */
  sortedSeconds(name: NarrowColumn, rows: Uint32Array): Float64Array {
    const column = this.column(name);
    const known = new Uint16Array(rows.length);
    let length = 0;
    for (const row of rows) {
      const packed = column[row] ?? 0;
      if (packed === 0) continue;
      known[length] = packed;
      length += 1;
    }
    // Packed numbers sort as their durations do, and faster.
    return Float64Array.from(known.subarray(0, length).toSorted(), (packed) => this.#seconds[packed] ?? 0);
  }

  seconds(name: NarrowColumn, row: number): number {
    return this.#seconds[this.column(name)[row] ?? 0] ?? Number.NaN;
  }

  /** When a job began, in seconds since 1970. */
  timeOf(row: number): number {
    return this.data.from + (this.column("time")[row] ?? 0);
  }

  outcomeOf(row: number): Outcome {
    return outcomes[this.column("outcome")[row] ?? 0] ?? "passed";
  }
}

function bytes(text: string): ArrayBuffer {
  const binary = atob(text);
  const made = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index += 1) made[index] = binary.charCodeAt(index);
  return made.buffer;
}

/** The value below which that share of sorted values is; NaN without values. */
export function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

export function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
