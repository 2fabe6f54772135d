import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { systemErrorCode } from "../error/error.ts";
import { decodeLine, lineStart } from "./decode.ts";
import { generations } from "./generations.ts";
import type { StageLine } from "./line.ts";

const chunkBytes = 256 * 1024;
/** No job shares its time with so many others. */
const mostReadBytes = 256 * 1024 * 1024;
/** Lines come in the order in which their stages ended, but for a moment. */
const slackMilliseconds = 60_000;

/**
 * The stages of a job that the record has, in the order in which they began: read from the end of the record, over
 * rotated files too, back to the time when the job began. Throws Node's error.
 *
 * @param file in a directory that nobody else can write to: see `inDirectoryOf()`.
 */
export function stagesOfJob(file: string, key: string, since: Date): StageLine[] {
  const needle = Buffer.from(`"key":${JSON.stringify(key)}`);
  const stages: StageLine[] = [];
  let budget = mostReadBytes;
  const older = (line: string): boolean => {
    const found = decodeLine(line);
    return found !== undefined && Date.parse(found.time) + found.seconds * 1000 < since.getTime() - slackMilliseconds;
  };
  for (const name of [...generations(file), file].toReversed()) {
    let goOn = true;
    budget -= readBackwards(name, budget, (lines) => {
      stages.push(...linesWith(lines, needle).flatMap(stageOf));
      const first = lines.indexOf(10);
      goOn = first === -1 || !older(lines.toString("latin1", 0, first));
      return goOn;
    });
    if (!goOn || budget <= 0) break;
  }
  return stages.filter(({ key: own }) => own === key).toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

function stageOf(line: string): StageLine[] {
  const found = decodeLine(line);
  return found?.kind === "stage" ? [found] : [];
}

/** The lines of a text that hold a needle, each without what a write that failed has left before it. */
function linesWith(text: Buffer, needle: Buffer): string[] {
  const lines: string[] = [];
  for (let at = text.indexOf(needle); at !== -1; ) {
    const next = text.indexOf(10, at);
    const end = next === -1 ? text.length : next;
    const begin = Math.max(text.lastIndexOf(10, at) + 1, text.lastIndexOf(lineStart, at));
    lines.push(text.toString("latin1", begin, end));
    at = text.indexOf(needle, end);
  }
  return lines;
}

/**
 * Gives whole lines of a file to `take`, the last ones first, until it returns false. Returns how many bytes were read; a
 * file that is not there, or is no regular one, has none.
 */
function readBackwards(path: string, budget: number, take: (lines: Buffer) => boolean): number {
  const descriptor = openRegular(path);
  if (descriptor === undefined) return 0;
  try {
    let begin = fstatSync(descriptor).size;
    let read = 0;
    let rest = Buffer.alloc(0);
    while (begin > 0 && read < budget) {
      const length = Math.min(chunkBytes, begin);
      begin -= length;
      const chunk = Buffer.alloc(length);
      read += readSync(descriptor, chunk, 0, length, begin);
      const bytes = Buffer.concat([chunk, rest]);
      // The first line of the chunk is whole only where the file begins.
      const cut = begin === 0 ? 0 : bytes.indexOf(10) + 1;
      rest = Buffer.from(bytes.subarray(0, cut));
      if (!take(bytes.subarray(cut))) break;
    }
    return read;
  } finally {
    closeSync(descriptor);
  }
}

function openRegular(path: string): number | undefined {
  try {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (fstatSync(descriptor).isFile()) return descriptor;
    closeSync(descriptor);
    return undefined;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ELOOP") return undefined;
    throw error;
  }
}
