/** A length of time for people. */
export function ms(milliseconds: number): string {
  return milliseconds >= 1000 ? `${(milliseconds / 1000).toFixed(2)} s` : `${milliseconds.toFixed(1)} ms`;
}

/** The rows of the table of docs/performance.md. */
export class Table {
  readonly #rows: string[] = [];

  get rows(): readonly string[] {
    return this.#rows;
  }

  /** Adds a row, and prints it. @param reached undefined where there is no aim. */
  add(what: string, measured: string, aim: string, reached: boolean | undefined): void {
    const verdict = reached === undefined ? "" : reached ? "reached" : "missed";
    const line = `| ${what} | ${measured} | ${aim} | ${verdict} |`;
    console.log(line);
    this.#rows.push(line);
  }
}
