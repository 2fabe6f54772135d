import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import type { Readable } from "node:stream";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/** Where lines come from, and from where one can be had again. */
export interface Source {
  /** Number of the account that owns the file; -1 for standard input. */
  readonly owner: number;
  /** Makes sure that a line can be read again, and returns its place for {@link read}. */
  keep(line: Line): number;
  read(place: number, length: number): string;
  close(): void;
}

/** A line without its end, as bytes of a buffer that is used again. */
export interface Line {
  readonly buffer: Buffer;
  readonly begin: number;
  readonly end: number;
  /** Where the line begins in its file. */
  readonly position: number;
}

export type TakeLine = (line: Line) => void;

/** Whether a path may be a link. One that a user can make leads wherever that user likes, with the rights of whoever reads. */
export type Links = "follow" | "refuse";

/** Linux: a descriptor that only names a file. Node has no name for it. */
const O_PATH = 0o10000000;

const chunkBytes = 4 * 1024 * 1024;
/**
 * How many times its size a compressed file may be. Records come to some 30 times; a file that a user has made up, whose lines root would keep
 * in memory, comes to a thousand.
 */
const mostExpansion = 200;
const newline = 10;

/**
 * Reads all lines of a file, compressed with gzip or not, and returns from where they can be read again: however long the
 * file, little of it is in memory. A line of more than 4 MiB is none of ours and passed over. Only regular files are read: where root
 * reads what users have written, one may have put a pipe or a device there, or a link to one.
 *
 * @param path of the file; `-` for `stdin`.
 * @param begin gets the source before its first line, and returns what takes its lines.
 * Throws `report_failed`.
 */
export async function readSource(
  path: string,
  stdin: Readable,
  begin: (source: Source) => TakeLine,
  links: Links = "follow",
): Promise<Source> {
  if (path === "-") {
    const memory = new Memory(-1);
    await readStream(stdin, begin(memory));
    return memory;
  }
  const { descriptor, status } = openRegular(path, links);
  const start = Buffer.alloc(2);
  if (readSync(descriptor, start, 0, 2, 0) === 2 && start.readUInt16BE() === 0x1f8b) {
    const memory = new Memory(status.uid);
    try {
      await readCompressed(path, descriptor, status.size, begin(memory));
    } finally {
      closeSync(descriptor);
    }
    return memory;
  }
  const file = new File(descriptor, status.uid);
  readPlain(descriptor, begin(file));
  return file;
}

/** Opens nothing but a regular file, not even for a look: some devices begin to work when they are opened. Throws `report_failed`. */
function openRegular(path: string, links: Links): { readonly descriptor: number; readonly status: Stats } {
  let place: number;
  try {
    place = openSync(path, O_PATH | (links === "refuse" ? constants.O_NOFOLLOW : 0));
  } catch (cause) {
    throw unreadable(path, systemErrorCode(cause) ?? "it cannot be opened", cause);
  }
  try {
    const status = fstatSync(place);
    if (status.isSymbolicLink()) throw unreadable(path, "it is a link, and --own follows none");
    if (!status.isFile()) throw unreadable(path, "it is not a regular file");
    return { descriptor: openSync(`/proc/self/fd/${place}`, constants.O_RDONLY | constants.O_NONBLOCK), status };
  } catch (cause) {
    throw cause instanceof JacamarError
      ? cause
      : unreadable(path, systemErrorCode(cause) ?? "it cannot be opened", cause);
  } finally {
    closeSync(place);
  }
}

class File implements Source {
  readonly owner: number;
  readonly #descriptor: number;

  constructor(descriptor: number, owner: number) {
    this.#descriptor = descriptor;
    this.owner = owner;
  }

  keep({ position }: Line): number {
    return position;
  }

  read(place: number, length: number): string {
    const bytes = Buffer.alloc(length);
    return bytes.toString("latin1", 0, readSync(this.#descriptor, bytes, 0, length, place));
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** For what cannot be read twice: what is kept is copied, outside of what the garbage collector has to look at. */
class Memory implements Source {
  readonly owner: number;
  readonly #chunks: Buffer[] = [];
  #room = 0;

  constructor(owner: number) {
    this.owner = owner;
  }

  keep({ buffer, begin, end }: Line): number {
    const length = end - begin;
    if (this.#room < length) {
      this.#chunks.push(Buffer.allocUnsafe(chunkBytes));
      this.#room = chunkBytes;
    }
    const at = chunkBytes - this.#room;
    this.#chunks.at(-1)?.set(buffer.subarray(begin, end), at);
    this.#room -= length;
    return (this.#chunks.length - 1) * chunkBytes + at;
  }

  read(place: number, length: number): string {
    const at = place % chunkBytes;
    return this.#chunks[Math.floor(place / chunkBytes)]?.toString("latin1", at, at + length) ?? "";
  }

  close(): void {
    this.#chunks.length = 0;
  }
}

function readPlain(descriptor: number, take: TakeLine): void {
  const lines = new Lines(take);
  for (;;) {
    const count = readSync(descriptor, lines.buffer, lines.filled, lines.room, lines.position + lines.filled);
    if (count === 0) break;
    lines.filledBy(count);
  }
  lines.end();
}

async function readCompressed(path: string, descriptor: number, size: number, take: TakeLine): Promise<void> {
  const [{ createGunzip }, { createReadStream }] = await Promise.all([import("node:zlib"), import("node:fs")]);
  const source = createReadStream("", { fd: descriptor, start: 0, autoClose: false });
  const gunzip = createGunzip();
  source.once("error", (error) => gunzip.destroy(error));
  const mostBytes = Math.max(chunkBytes, size * mostExpansion);
  try {
    await readStream(source.pipe(gunzip), take, mostBytes);
  } catch (cause) {
    if (cause instanceof RangeError)
      throw unreadable(path, `it is more than ${mostExpansion} times as large as compressed`);
    throw unreadable(path, "it is not whole", cause);
  }
}

/** Throws RangeError for more bytes than that. */
async function readStream(stream: Readable, take: TakeLine, mostBytes = Infinity): Promise<void> {
  const lines = new Lines(take);
  let read = 0;
  for await (const piece of stream) {
    const bytes: Buffer = Buffer.isBuffer(piece) ? piece : Buffer.from(String(piece));
    read += bytes.length;
    if (read > mostBytes) throw new RangeError(`more than ${mostBytes} bytes`);
    for (let from = 0; from < bytes.length; ) {
      const count = bytes.copy(lines.buffer, lines.filled, from, from + Math.min(lines.room, bytes.length - from));
      from += count;
      lines.filledBy(count);
    }
  }
  lines.end();
}

/** Cuts what is put into a buffer into lines. */
class Lines {
  readonly buffer = Buffer.allocUnsafe(chunkBytes);
  readonly #take: TakeLine;
  filled = 0;
  /** Where the buffer begins in its file. */
  position = 0;
  /** Inside a line that is too long. */
  #skipping = false;

  constructor(take: TakeLine) {
    this.#take = take;
  }

  get room(): number {
    return this.buffer.length - this.filled;
  }

  filledBy(count: number): void {
    const { buffer, position } = this;
    const end = this.filled + count;
    let begin = 0;
    let at = buffer.indexOf(newline, this.filled);
    while (at !== -1 && at < end) {
      if (!this.#skipping) this.#take({ buffer, begin, end: at, position: position + begin });
      this.#skipping = false;
      begin = at + 1;
      at = buffer.indexOf(newline, begin);
    }
    buffer.copyWithin(0, begin, end);
    this.filled = end - begin;
    this.position += begin;
    if (this.room > 0) return;
    this.#skipping = true;
    this.position += this.filled;
    this.filled = 0;
  }

  end(): void {
    if (this.filled === 0 || this.#skipping) return;
    this.#take({ buffer: this.buffer, begin: 0, end: this.filled, position: this.position });
  }
}

function unreadable(path: string, why: string, cause?: unknown): JacamarError {
  return new JacamarError("report_failed", `Cannot read "${path}": ${why}`, { cause });
}
