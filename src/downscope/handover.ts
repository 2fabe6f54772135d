import * as v from "valibot";
import { JacamarError } from "../error/error.ts";

/**
 * What a stage needs of the runner, in one piece: it goes over standard input to the process that does the job's work when
 * that is another one (sudo, or a service account's privileged child), since that process can read none of the runner's files.
 * It is secret.
 */
export interface Handover {
  readonly stage: "prepare" | "run" | "cleanup";
  /** Name of the script's stage; empty for the other two. */
  readonly scriptStage: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Text of the job response; absent when the runner has taken it away already. */
  readonly response?: string | undefined;
  /** The generated script, in base64. */
  readonly script?: string | undefined;
  /** Stands before what the process says at its end, so that no output of a job can be taken for it. */
  readonly nonce: string;
}

const handoverSchema = v.object({
  stage: v.picklist(["prepare", "run", "cleanup"]),
  scriptStage: v.string(),
  environment: v.record(v.string(), v.string()),
  response: v.optional(v.string()),
  script: v.optional(v.string()),
  nonce: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
});

/** One line of JSON. */
export function packHandover(handover: Handover): string {
  return `${JSON.stringify(handover)}\n`;
}

/** Throws `runner_contract` for anything but a line of {@link packHandover}. */
export function unpackHandover(line: string): Handover {
  let data: unknown;
  try {
    data = JSON.parse(line);
  } catch {
    throw notOurs();
  }
  const parsed = v.safeParse(handoverSchema, data);
  if (!parsed.success) throw notOurs();
  return parsed.output;
}

function notOurs(): JacamarError {
  // The parser's own message would quote the text, which is secret.
  return new JacamarError("runner_contract", "Standard input does not hold what jacamar-auth hands over", {
    hint: "This call is for jacamar-auth alone.",
  });
}

/** Begins the line by which the process tells the script's exit code, on standard error. */
const mark = 0x1e;

/** The line by which the process that does the work tells that the door has opened: what ended before was not the job's fault. */
export function begunLine(nonce: string): string {
  return `${String.fromCharCode(mark)}${nonce} begun\n`;
}

/** The line by which the process that did the work tells the script's own exit code. */
export function exitCodeLine(nonce: string, exitCode: number): string {
  return `${String.fromCharCode(mark)}${nonce} ${exitCode}\n`;
}

/** The line by which the process that did the work hands up the record of the stage, one line of ASCII. */
export function recordLine(nonce: string, line: string): string {
  return `${String.fromCharCode(mark)}${nonce} record ${line}\n`;
}

/** Far above what may stand behind the nonce. */
const longestText = 64 * 1024;

/**
 * Passes standard error on, and takes the lines of {@link begunLine}, {@link exitCodeLine} and {@link recordLine} out of it, wherever the
 * chunks break. Bytes that could begin such a line are held until it is known: never more than a line has. Behind the door of
 * sudo the user can find the nonce out, and tell a wrong end or record of the user's own stage.
 */
export class ExitCodeFilter {
  readonly #sink: (chunk: Uint8Array) => void;
  readonly #start: Buffer;
  #held = Buffer.alloc(0);
  #begun = false;
  #exitCode: number | undefined;
  #record: string | undefined;

  constructor(nonce: string, sink: (chunk: Uint8Array) => void) {
    this.#sink = sink;
    this.#start = Buffer.from(`${String.fromCharCode(mark)}${nonce} `);
  }

  /** Whether the process has told that it works for the job. */
  get begun(): boolean {
    return this.#begun;
  }

  /** The exit code that was told, 0 to 255; undefined when none was. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** The record of the stage as it was handed up; undefined when none was. With sudo the user may have written it. */
  get record(): string | undefined {
    return this.#record;
  }

  write(chunk: Uint8Array): void {
    const bytes = Buffer.concat([this.#held, chunk]);
    this.#held = Buffer.alloc(0);
    const output: Buffer[] = [];
    let from = 0;
    for (let at = bytes.indexOf(mark); at !== -1; ) {
      const end = this.#endOfLine(bytes, at);
      if (end === undefined) {
        at = bytes.indexOf(mark, at + 1);
        continue;
      }
      output.push(bytes.subarray(from, at));
      from = end + 1;
      if (end === bytes.length) {
        this.#held = Buffer.from(bytes.subarray(at));
        break;
      }
      this.#take(bytes.toString("latin1", at + this.#start.length, end));
      at = bytes.indexOf(mark, from);
    }
    output.push(bytes.subarray(from));
    const rest = Buffer.concat(output);
    if (rest.length > 0) this.#sink(rest);
  }

  /** Passes on what was held, at the end of the output. */
  end(): void {
    if (this.#held.length > 0) this.#sink(this.#held);
    this.#held = Buffer.alloc(0);
  }

  /** Where the line ends that a mark begins; the length of all where it may go on; undefined when it is none of ours. */
  #endOfLine(bytes: Buffer, at: number): number | undefined {
    const known = bytes.subarray(at, at + this.#start.length);
    if (!known.equals(this.#start.subarray(0, known.length))) return undefined;
    const word = at + this.#start.length;
    const end = bytes.subarray(word, word + longestText + 1).indexOf("\n");
    if (end !== -1) return word + end;
    return bytes.length - word <= longestText ? bytes.length : undefined;
  }

  #take(text: string): void {
    if (text === "begun") this.#begun = true;
    else if (/^(?:0|[1-9][0-9]{0,2})$/.test(text) && Number(text) <= 255) this.#exitCode = Number(text);
    else if (text.startsWith("record ")) this.#record = text.slice("record ".length);
  }
}
