import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { dirname } from "node:path";
import { lookAnew } from "../../workspace/look-anew.ts";

/** What went wrong with an output file, once each. */
export type OutputTrouble = "truncated" | "replaced" | "deleted";

/**
 * Follows a file that grows on another machine: read by offset, opened anew for each look, since a shared file system
 * shows new bytes of a file only then. What was read is passed on once, in order; a character of UTF-8 that has come by
 * half is held back until its other half is there.
 */
export class OutputFile {
  readonly #path: string;
  readonly #sink: (chunk: Uint8Array) => void;
  readonly #onTrouble: (trouble: OutputTrouble) => void;
  #descriptor: number | undefined;
  #inode: bigint | undefined;
  #offset = 0;
  #held = Buffer.alloc(0);
  #behind = false;
  readonly #told = new Set<OutputTrouble>();

  constructor(path: string, sink: (chunk: Uint8Array) => void, onTrouble: (trouble: OutputTrouble) => void) {
    this.#path = path;
    this.#sink = sink;
    this.#onTrouble = onTrouble;
  }

  /** How many bytes of the file have been passed on or are held. */
  get bytes(): number {
    return this.#offset;
  }

  /** Whether the last look has left some of what is there for the next. */
  get behind(): boolean {
    return this.#behind;
  }

  /**
   * Passes on what is new, some megabytes at the most: a script may write faster than anybody reads, and there is more to
   * do than to read. Returns how many bytes it was.
   */
  read(): number {
    this.#behind = false;
    this.#reopen();
    let count = 0;
    while (count < lookBytes) {
      const chunk = this.#next();
      if (chunk === undefined) return count;
      count += chunk.length;
      this.#pass(chunk);
    }
    this.#behind = true;
    return count;
  }

  /** The next bytes; undefined where there are none yet. */
  #next(): Buffer | undefined {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return undefined;
    try {
      const { size } = fstatSync(descriptor);
      if (size < this.#offset) {
        // What is there now was written after it was emptied.
        this.#tell("truncated");
        this.#offset = 0;
      }
      if (size === this.#offset) return undefined;
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, size - this.#offset));
      const length = readSync(descriptor, chunk, 0, chunk.length, this.#offset);
      this.#offset += length;
      return length === 0 ? undefined : chunk.subarray(0, length);
    } catch {
      // A stale handle of a shared file system: the next look opens the file anew.
      this.#close();
      return undefined;
    }
  }

  /** Passes on what was held back, and lets go of the file. */
  end(): void {
    if (this.#held.length > 0) this.#sink(this.#held);
    this.#held = Buffer.alloc(0);
    this.#close();
  }

  #reopen(): void {
    let descriptor: number;
    try {
      descriptor = openSync(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      // It was there and is gone; the writer still has it, and so have we.
      if (this.#descriptor !== undefined) this.#tell("deleted");
      else lookAnew(dirname(this.#path));
      return;
    }
    const file = fstatSync(descriptor, { bigint: true });
    if (!file.isFile()) {
      closeSync(descriptor);
      return;
    }
    if (this.#inode !== undefined && file.ino !== this.#inode) {
      this.#tell("replaced");
      this.#offset = 0;
    }
    this.#close();
    this.#descriptor = descriptor;
    this.#inode = file.ino;
  }

  #close(): void {
    if (this.#descriptor === undefined) return;
    try {
      closeSync(this.#descriptor);
    } catch {
      // A write of this descriptor's that failed late would be no news for a reader.
    }
    this.#descriptor = undefined;
  }

  #tell(trouble: OutputTrouble): void {
    if (this.#told.has(trouble)) return;
    this.#told.add(trouble);
    this.#onTrouble(trouble);
  }

  #pass(chunk: Buffer): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const whole = wholeCharacters(bytes);
    this.#held = Buffer.from(bytes.subarray(whole));
    if (whole > 0) this.#sink(bytes.subarray(0, whole));
  }
}

const chunkBytes = 256 * 1024;
const lookBytes = 16 * chunkBytes;

/** How many of the bytes are left when a character of UTF-8 that is not whole is cut off the end. */
function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back && byte < 0xf8 ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
