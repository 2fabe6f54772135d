import { lstatSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { systemErrorCode } from "../error/error.ts";
import { withLock } from "./lock.ts";

/** How large a file may become, and how many older ones are kept beside it. */
export interface Rotation {
  readonly maxBytes: number;
  readonly keep: number;
}

/**
 * Moves a file that has become too large out of the way, to `FILE.DATE`, and removes the oldest ones beyond those that
 * are kept. Whoever has the file open goes on writing to it under its new name, so no line is lost. One process does this,
 * and the others, who wait for none, write to the file as it is. Throws Node's error.
 *
 * @param file in a directory that nobody else can write to: see `inDirectoryOf()`.
 */
export function rotate(file: string, { maxBytes, keep }: Rotation, now = new Date()): void {
  if (sizeOf(file) < maxBytes) return;
  withLock(`${file}.rotating`, 0, () => {
    // Another process may have done it between the look and the lock.
    if (sizeOf(file) < maxBytes) return;
    renameSync(file, nextName(file, now));
    const old = generations(file);
    for (const name of old.slice(0, Math.max(0, old.length - keep))) removeIfThere(name);
  });
}

/** The older files of a record, oldest first. Throws Node's error. */
export function generations(file: string): string[] {
  const name = file.slice(file.lastIndexOf("/") + 1);
  return readdirSync(dirname(file))
    .filter((other) => other.startsWith(`${name}.`) && /^\d{8}T\d{9}Z$/.test(other.slice(name.length + 1)))
    .toSorted()
    .map((other) => `${dirname(file)}/${other}`);
}

function sizeOf(file: string): number {
  return lstatSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** A name of the file's with the date, after all others also when the clock was put back. */
function nextName(file: string, now: Date): string {
  const newest =
    generations(file)
      .at(-1)
      ?.slice(file.length + 1) ?? "";
  const [, year, month, day, hour, minute, second, millisecond] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z$/.exec(newest) ?? [];
  const last = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${millisecond}Z`);
  const time = Number.isNaN(last) ? now.getTime() : Math.max(now.getTime(), last + 1);
  return `${file}.${new Date(time).toISOString().replaceAll(/[-:.]/g, "")}`;
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
}
