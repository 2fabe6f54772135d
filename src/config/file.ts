import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";

/** A configuration file as it was found on disk. */
export interface ConfigurationFile {
  /** The text, or where it stops being UTF-8. */
  readonly text: string | { readonly line: number; readonly column: number };
  /** Why no job may believe it: others than root and this account could have written it. `config_unreadable`. */
  readonly distrust: JacamarError | undefined;
  /** Whose it is, and its mode. */
  readonly uid: number;
  readonly mode: number;
}

/** 1 MiB: the longest real configuration is a few kilobytes. */
const longestFile = 1024 * 1024;

/**
 * Reads a configuration file. All that is asked of the file is asked of one descriptor.
 * Throws `config_unreadable` when it is no regular file of a sensible size that can be read.
 */
export function readConfigurationFile(path: string): ConfigurationFile {
  return readChecked(path, "configuration file");
}

/** Reads the `config.toml` of GitLab Runner, as {@link readConfigurationFile} reads ours; whose it is is not asked. */
export function readRunnerConfiguration(path: string): ConfigurationFile["text"] {
  return readChecked(path, "configuration of GitLab Runner").text;
}

/** Reads a configuration from standard input. Throws `config_unreadable` when it cannot be read or is larger than 1 MiB. */
export function readConfigurationInput(): ConfigurationFile["text"] {
  const where: Where = { name: "on standard input", what: "configuration" };
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for (;;) {
      const chunk = Buffer.alloc(64 * 1024);
      const count = readSync(0, chunk, 0, chunk.length, null);
      if (count === 0) return decode(Buffer.concat(chunks));
      chunks.push(chunk.subarray(0, count));
      length += count;
      if (length > longestFile) throw unreadable(where, "it is larger than 1 MiB");
    }
  } catch (error) {
    if (error instanceof JacamarError) throw error;
    throw unreadable(where, openReasons[systemErrorCode(error) ?? ""] ?? "reading it failed", undefined, error);
  }
}

/** What a message calls a file. */
interface Where {
  readonly name: string;
  readonly what: string;
}

function readChecked(path: string, what: string): ConfigurationFile {
  const where: Where = { name: `"${path}"`, what };
  let descriptor: number;
  try {
    // Not blocking, so that a named pipe is refused and not waited for.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const code = systemErrorCode(error) ?? "";
    const hint = what === "configuration file" || code !== "ENOENT" ? openHints[code] : undefined;
    throw unreadable(where, openReasons[code] ?? "it cannot be opened", hint, error);
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw unreadable(where, "it is not a regular file");
    if (stats.size > longestFile) throw unreadable(where, "it is larger than 1 MiB");
    const text = decode(readAll(where, descriptor, stats.size));
    return { text, distrust: whyDistrusted(path, where, stats), uid: stats.uid, mode: stats.mode & 0o7777 };
  } catch (error) {
    if (systemErrorCode(error) === undefined || error instanceof JacamarError) throw error;
    throw unreadable(where, "reading it failed", undefined, error);
  } finally {
    closeSync(descriptor);
  }
}

const openReasons: Readonly<Record<string, string>> = {
  ENOENT: "it does not exist",
  ENOTDIR: "it does not exist",
  EACCES: "this account may not read it",
  EISDIR: "it is a directory",
  ELOOP: "its symbolic links lead in a circle",
};

const openHints: Readonly<Record<string, string>> = {
  ENOENT: "jacamar init writes a first one. The commands for people take --configuration FILE.",
  EACCES: "It, or a directory above it, is closed to this account: namei -l FILE shows which.",
};

function whyDistrusted(path: string, where: Where, stats: Stats): JacamarError | undefined {
  const user = process.geteuid?.();
  if (stats.uid !== 0 && stats.uid !== user) {
    return unreadable(
      where,
      `it belongs to the user id ${stats.uid}`,
      `It must belong to root or to this account: chown root: ${path}`,
    );
  }
  if ((stats.mode & 0o022) === 0) return undefined;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
  return unreadable(where, `others than its owner can write it (mode ${mode})`, `Run chmod go-w ${path}`);
}

function readAll(where: Where, descriptor: number, size: number): Buffer {
  // One byte more, to see that there is none.
  const buffer = Buffer.alloc(size + 1);
  let length = 0;
  for (;;) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (count === 0) return buffer.subarray(0, length);
    length += count;
    if (length > size) throw unreadable(where, "it grew while it was read", "Run the job again.");
  }
}

function decode(bytes: Buffer): ConfigurationFile["text"] {
  const text = bytes.toString();
  if (Buffer.from(text).equals(bytes)) return text;
  const lines = text.slice(0, text.indexOf("\ufffd")).split("\n");
  return { line: lines.length, column: (lines.at(-1) ?? "").length + 1 };
}

function unreadable({ name, what }: Where, reason: string, hint?: string, cause?: unknown): JacamarError {
  return new JacamarError("config_unreadable", `Cannot use the ${what} ${name}: ${reason}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}
