import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { type Fault, type Inspection, inspect } from "./inspect.ts";
import { formatProblem, type Problem } from "./problem.ts";
import type { Config } from "./schema.ts";

export { formatProblem, type Problem } from "./problem.ts";

export interface Check {
  /** Undefined exactly when there are problems. */
  readonly config: Config | undefined;
  /** What keeps every job from running, in the order of the file. */
  readonly problems: readonly Problem[];
  /** What is allowed and probably not meant, in the order of the file. */
  readonly warnings: readonly Problem[];
}

/** 1 MiB: the longest real configuration is a few kilobytes. */
const longestFile = 1024 * 1024;

/**
 * Reads and checks the configuration file. Whether the programs, files and images that it names exist is not looked at.
 *
 * Throws `config_unreadable` for a file that cannot be read or that others than root and we could have written, and
 * `config_invalid` with all mistakes of the file, one to a line.
 */
export async function loadConfiguration(path: string): Promise<Config> {
  const text = readTrusted(path);
  if (typeof text !== "string") throw invalid([{ file: path, ...text, path: "", message: "this is not UTF-8" }]);
  const inspection = await inspect(text);
  if (inspection.config !== undefined) return inspection.config;
  throw invalid(await placed(inspection.faults, inspection, path));
}

/**
 * Checks the text of a configuration file. Never throws for a text. Finding the places of problems and warnings loads
 * what a job does not need, so jobs use `loadConfiguration`, which does so for problems alone.
 */
export async function checkConfiguration(text: string, fileName: string): Promise<Check> {
  const inspection = await inspect(text);
  return {
    config: inspection.config,
    problems: await placed(inspection.faults, inspection, fileName),
    warnings: await placed(inspection.warnings, inspection, fileName),
  };
}

async function placed(faults: readonly Fault[], inspection: Inspection, file: string): Promise<Problem[]> {
  if (faults.length === 0) return [];
  const { placeFaults } = await import("./place.ts");
  return placeFaults(faults, inspection, file);
}

function invalid(problems: readonly Problem[]): JacamarError {
  return new JacamarError("config_invalid", problems.map(formatProblem).join("\n"), {
    hint: "Every key is described in docs/configuration.md. No job runs until the file is right.",
  });
}

/** The text of the file, or where it stops being UTF-8. All that is asked of the file is asked of one descriptor. */
function readTrusted(path: string): string | { line: number; column: number } {
  let descriptor: number;
  try {
    // Not blocking, so that a named pipe is refused and not waited for.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    throw unreadable(path, openReasons[systemErrorCode(error) ?? ""] ?? "it cannot be opened", undefined, error);
  }
  try {
    const stats = fstatSync(descriptor);
    refuseUntrusted(path, stats);
    return decode(readAll(path, descriptor, stats.size));
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

function refuseUntrusted(path: string, stats: Stats): void {
  if (!stats.isFile()) throw unreadable(path, "it is not a regular file");
  const user = process.geteuid?.();
  if (stats.uid !== 0 && stats.uid !== user) {
    throw unreadable(path, `it belongs to the user id ${stats.uid}`, "It must belong to root or to this account.");
  }
  if ((stats.mode & 0o022) !== 0) {
    const mode = (stats.mode & 0o7777).toString(8).padStart(4, "0");
    throw unreadable(path, `others than its owner can write it (mode ${mode})`, "Run chmod go-w on it.");
  }
  if (stats.size > longestFile) throw unreadable(path, "it is larger than 1 MiB");
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

function decode(bytes: Buffer): string | { line: number; column: number } {
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
