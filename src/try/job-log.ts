import { ansi } from "./ansi.ts";
import { Mask } from "./mask.ts";

/** Where the log goes: standard output, or a buffer in a test. */
export interface LogSink {
  write(chunk: Uint8Array | string): unknown;
}

/** What one stream of a driver process writes into. `end` puts out what was held back. */
export interface LogStream {
  write(chunk: Buffer): void;
  end(): void;
}

export interface JobLogOptions {
  readonly colour: boolean;
  /** Goes before every line; lines of jobs that run at the same time are told apart by it. */
  readonly prefix?: string;
  /** Values that must not be seen. */
  readonly secrets: readonly string[];
}

/**
 * The log of one job on a terminal, as GitLab shows it: the runner's own lines in their colours, and what the job
 * writes, byte by byte, with masked values replaced.
 */
export class JobLog {
  readonly #sink: LogSink;
  readonly #options: JobLogOptions;
  #atLineStart = true;

  constructor(sink: LogSink, options: JobLogOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  /** The start of a section. */
  title(text: string): void {
    this.#ownLine(text, ansi.boldCyan);
  }

  line(text: string): void {
    this.#ownLine(text, "");
  }

  info(text: string): void {
    this.#ownLine(text, ansi.boldGreen);
  }

  warning(text: string): void {
    this.#ownLine(`WARNING: ${text}`, ansi.yellow);
  }

  error(text: string): void {
    this.#ownLine(`ERROR: ${text}`, ansi.boldRed);
  }

  /** A new stream of the job's output. With a prefix, whole lines at a time; else as it comes. */
  stream(): LogStream {
    const mask = new Mask(this.#options.secrets);
    if (this.#options.prefix === undefined) {
      return { write: (chunk) => this.#raw(mask.push(chunk)), end: () => this.#raw(mask.end()) };
    }
    let partial: Buffer[] = [];
    const push = (chunk: Buffer) => {
      const lastBreak = chunk.lastIndexOf(0x0a);
      if (lastBreak < 0) return void partial.push(chunk);
      this.#lines(Buffer.concat([...partial, chunk.subarray(0, lastBreak + 1)]));
      partial = [chunk.subarray(lastBreak + 1)];
    };
    return {
      write: (chunk) => push(mask.push(chunk)),
      end: () => {
        push(mask.end());
        const rest = Buffer.concat(partial);
        partial = [];
        if (rest.length > 0) this.#lines(Buffer.concat([rest, Buffer.from("\n")]));
      },
    };
  }

  #ownLine(text: string, colour: string): void {
    const mask = new Mask(this.#options.secrets);
    const masked = Buffer.concat([mask.push(Buffer.from(text)), mask.end()]).toString("utf8");
    const painted = this.#options.colour && colour !== "" ? `${colour}${masked}${ansi.reset}` : masked;
    const start = this.#atLineStart ? "" : "\n";
    this.#sink.write(`${start}${this.#options.prefix ?? ""}${painted}\n`);
    this.#atLineStart = true;
  }

  #raw(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#sink.write(chunk);
    this.#atLineStart = chunk.at(-1) === 0x0a;
  }

  #lines(chunk: Buffer): void {
    const prefix = Buffer.from(this.#options.prefix ?? "");
    const parts: Buffer[] = [];
    for (let start = 0; start < chunk.length; ) {
      const end = chunk.indexOf(0x0a, start);
      const stop = end < 0 ? chunk.length : end + 1;
      parts.push(prefix, chunk.subarray(start, stop));
      start = stop;
    }
    this.#sink.write(Buffer.concat(parts));
  }
}
