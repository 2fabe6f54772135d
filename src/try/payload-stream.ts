import { closeSync, openSync, writeSync } from "node:fs";

/** What a script brackets its payload with. The nonce is new for each stage, so that no job can print it by chance. */
export interface PayloadMarkers {
  readonly begin: string;
  readonly end: string;
}

export function payloadMarkers(nonce: string): PayloadMarkers {
  return { begin: `jacamar-try-payload-begin-${nonce}`, end: `jacamar-try-payload-end-${nonce}` };
}

/** What was received: whole, nothing, cut off, larger than allowed, or not to be stored. */
export type Received = { readonly bytes: number } | { readonly problem: string } | "none" | "incomplete" | "too large";

/**
 * Takes a Base64 payload between two marker lines out of a stage's output and writes its bytes to a file (0600). All
 * other output goes on to `pass`, line by line while a marker may still come. Chunk borders may fall anywhere, and a
 * terminal may have put a carriage return before each line break.
 */
export class PayloadStream {
  readonly #markers: PayloadMarkers;
  readonly #file: string;
  readonly #limit: number;
  readonly #pass: (chunk: Buffer) => void;
  #pending = Buffer.alloc(0);
  #state: "before" | "inside" | "after" = "before";
  #descriptor: number | undefined;
  #base64 = "";
  #bytes = 0;
  #lineIsPassing = false;
  #problem: string | undefined;

  constructor(markers: PayloadMarkers, file: string, limit: number, pass: (chunk: Buffer) => void) {
    this.#markers = markers;
    this.#file = file;
    this.#limit = limit;
    this.#pass = pass;
  }

  write(chunk: Buffer): void {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (;;) {
      const lineBreak = rest.indexOf(0x0a);
      if (lineBreak < 0) break;
      this.#line(rest.subarray(0, lineBreak + 1));
      rest = rest.subarray(lineBreak + 1);
    }
    if (this.#state !== "inside" && rest.length > 0 && (this.#lineIsPassing || !this.#mayBeMarker(rest))) {
      this.#pass(rest);
      this.#lineIsPassing = true;
      rest = Buffer.alloc(0);
    }
    this.#pending = Buffer.from(rest);
  }

  /** Ends the stream and says what came. */
  end(): Received {
    if (this.#pending.length > 0) this.#line(this.#pending);
    this.#pending = Buffer.alloc(0);
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    if (this.#problem !== undefined) return { problem: this.#problem };
    if (this.#state === "before") return "none";
    if (this.#bytes > this.#limit) return "too large";
    return this.#state === "after" ? { bytes: this.#bytes } : "incomplete";
  }

  #line(line: Buffer): void {
    const text = this.#lineIsPassing ? "" : line.toString("latin1").trimEnd();
    if (this.#state === "before" && text === this.#markers.begin) {
      this.#state = "inside";
      this.#attempt(() => {
        this.#descriptor = openSync(this.#file, "w", 0o600);
      });
    } else if (this.#state === "inside" && text === this.#markers.end) {
      this.#store("", true);
      this.#state = "after";
    } else if (this.#state === "inside") {
      this.#store(text, false);
    } else {
      this.#pass(line);
    }
    this.#lineIsPassing = false;
  }

  #store(text: string, isEnd: boolean): void {
    this.#base64 += text;
    if (!isEnd && this.#base64.length < 65_536) return;
    const whole = isEnd ? this.#base64.length : this.#base64.length - (this.#base64.length % 4);
    const bytes = Buffer.from(this.#base64.slice(0, whole), "base64");
    this.#base64 = this.#base64.slice(whole);
    this.#bytes += bytes.length;
    const descriptor = this.#descriptor;
    if (this.#bytes <= this.#limit && descriptor !== undefined) this.#attempt(() => writeSync(descriptor, bytes));
  }

  /** A full disk must not throw into the middle of the driver's output. */
  #attempt(action: () => void): void {
    try {
      if (this.#problem === undefined) action();
    } catch (error) {
      this.#problem = `Cannot store the artifacts: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  #mayBeMarker(start: Buffer): boolean {
    if (this.#state === "after") return false;
    const text = start.toString("latin1").replace(/\r$/, "");
    return this.#markers.begin.startsWith(text);
  }
}
