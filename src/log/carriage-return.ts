/**
 * Takes back what a terminal's line discipline does to a program's output: each line break became `\r\n` (termios(3),
 * ONLCR). A carriage return of the program's own stays. One at the end of a chunk is held until it is known what follows.
 */
export class CarriageReturnFilter {
  readonly #sink: (chunk: Uint8Array) => void;
  #held = false;

  constructor(sink: (chunk: Uint8Array) => void) {
    this.#sink = sink;
  }

  write(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const out = Buffer.allocUnsafe(chunk.length + 1);
    let length = 0;
    if (this.#held && chunk[0] !== lineFeed) {
      out[length] = carriageReturn;
      length += 1;
    }
    this.#held = chunk[chunk.length - 1] === carriageReturn;
    const end = this.#held ? chunk.length - 1 : chunk.length;
    let from = 0;
    while (from < end) {
      const next = indexOf(chunk, carriageReturn, from, end);
      const to = next === -1 ? end : next;
      out.set(chunk.subarray(from, to), length);
      length += to - from;
      if (next === -1) break;
      if (chunk[next + 1] !== lineFeed) {
        out[length] = carriageReturn;
        length += 1;
      }
      from = next + 1;
    }
    if (length > 0) this.#sink(out.subarray(0, length));
  }

  /** Passes on what was held, at the end of the output. */
  end(): void {
    if (this.#held) this.#sink(Buffer.from([carriageReturn]));
    this.#held = false;
  }
}

const carriageReturn = 13;
const lineFeed = 10;

function indexOf(bytes: Uint8Array, value: number, from: number, end: number): number {
  const found = bytes.indexOf(value, from);
  return found >= end ? -1 : found;
}
