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
  let descriptor: number;
  try {
    // Not blocking, so that a named pipe is refused and not waited for.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const code = systemErrorCode(error) ?? "";
    throw unreadable(path, openReasons[code] ?? "it cannot be opened", openHints[code], error);
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw unreadable(path, "it is not a regular file");
    if (stats.size > longestFile) throw unreadable(path, "it is larger than 1 MiB");
    const text = decode(readAll(path, descriptor, stats.size));
    return { text, distrust: whyDistrusted(path, stats), uid: stats.uid, mode: stats.mode & 0o7777 };
  } catch (error) {
    if (systemErrorCode(error) === undefined || error instanceof JacamarError) throw error;
    throw unreadable(path, "reading it failed", undefined, error);
  } finally {
    closeSync(descriptor);
  }
}

const openReasons: Readonly<Record<string, string>> = {
  ENOENT: "it does not exist",
  ENOTDIR: "it does not exist",
  EACCES: "this account may not read it",
  ELOOP: "its symbolic links lead in a circle",
};

const openHints: Readonly<Record<string, string>> = {
  ENOENT: "jacamar init writes a first one. The commands for people take --configuration FILE.",
  EACCES: "It, or a directory above it, is closed to this account: namei -l FILE shows which.",
};

function whyDistrusted(path: string, stats: Stats): JacamarError | undefined {
  const user = process.geteuid?.();
  if (stats.uid !== 0 && stats.uid !== user) {
    return unreadable(
      path,
      `it belongs to the user id ${stats.uid}`,
      `It must belong to root or to this account: chown root: ${path}`,
    );
  }
  if ((stats.mode & 0o022) === 0) return undefined;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
  return unreadable(path, `others than its owner can write it (mode ${mode})`, `Run chmod go-w ${path}`);
}

function readAll(path: string, descriptor: number, size: number): Buffer {
  // One byte more, to see that there is none.
  const buffer = Buffer.alloc(size + 1);
  let length = 0;
  for (;;) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (count === 0) return buffer.subarray(0, length);
    length += count;
    if (length > size) throw unreadable(path, "it grew while it was read", "Run the job again.");
  }
}

function decode(bytes: Buffer): ConfigurationFile["text"] {
  const text = bytes.toString();
  if (Buffer.from(text).equals(bytes)) return text;
  const lines = text.slice(0, text.indexOf("\ufffd")).split("\n");
  return { line: lines.length, column: (lines.at(-1) ?? "").length + 1 };
}

function unreadable(path: string, reason: string, hint?: string, cause?: unknown): JacamarError {
  return new JacamarError("config_unreadable", `Cannot use the configuration file "${path}": ${reason}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}
