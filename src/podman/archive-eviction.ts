import { lstatSync, renameSync, unlinkSync } from "node:fs";
import { lockFile } from "../process/file-lock.ts";
import { removeTree } from "../workspace/directories.ts";
import {
  type ArchiveFile,
  type ArchivePlace,
  diskUse,
  isInUse,
  isLiveMark,
  listArchiveFiles,
  lockPath,
  passingPath,
} from "./archive-files.ts";

/** What became of an attempt to make room. */
export interface Room {
  /** Archives that were removed. */
  readonly removed: number;
  /** Bytes that the archives still take. */
  readonly left: number;
}

/**
 * Removes archives that no job uses, the one first whose last use is the longest ago, until all together take no more than
 * `limitBytes`; and what dead jobs have left half-made, and their marks. One that is just being made is left alone, and counts.
 * Where files cannot be locked nothing is removed: a job could lose what it is about to use.
 */
export async function makeRoom(place: ArchivePlace, limitBytes: number): Promise<Room> {
  await removeLeftovers(place);
  const kept = listArchiveFiles(place.directory)
    .filter(({ kind }) => kind === "whole" || kind === "new")
    .map((file) => ({ ...file, bytes: diskUse(file.path), lastUse: lastUse(file.path) }));
  let left = kept.reduce((sum, { bytes }) => sum + bytes, 0);
  let removed = 0;
  for (const file of kept.filter(({ kind }) => kind === "whole").toSorted((a, b) => a.lastUse - b.lastUse)) {
    if (left <= limitBytes) break;
    if (!(await remove(place, file))) continue;
    removed += 1;
    left -= file.bytes;
  }
  return { removed, left };
}

/** What {@link makeRoom} would remove. */
export interface RoomToMake {
  /** Archives that nobody makes or removes any more and that are not whole. */
  readonly unfinished: { readonly count: number; readonly bytes: number };
  /** Whole archives that no job uses, beyond the limit. */
  readonly beyond: { readonly count: number; readonly bytes: number };
}

/** Looks for what {@link makeRoom} would remove, and removes nothing. */
export async function roomToMake(place: ArchivePlace, limitBytes: number): Promise<RoomToMake> {
  const unfinished = { count: 0, bytes: 0 };
  for (const [archive, files] of Map.groupBy(listArchiveFiles(place.directory), (file) => file.archive)) {
    const left = files.filter(({ kind }) => kind === "new" || kind === "gone");
    if (left.length === 0) continue;
    await withLock(place, archive, () => {
      unfinished.count += left.length;
      for (const { path } of left) unfinished.bytes += diskUse(path);
    });
  }
  const beyond = { count: 0, bytes: 0 };
  const whole = listArchiveFiles(place.directory)
    .filter(({ kind }) => kind === "whole")
    .map((file) => ({ ...file, bytes: diskUse(file.path), lastUse: lastUse(file.path) }));
  let left = whole.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { archive, bytes } of whole.toSorted((a, b) => a.lastUse - b.lastUse)) {
    if (left <= limitBytes) break;
    if (isInUse(place.directory, archive)) continue;
    beyond.count += 1;
    beyond.bytes += bytes;
    left -= bytes;
  }
  return { unfinished, beyond };
}

/** A job touches an archive each time it finds it. */
function lastUse(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Whether it was removed. */
async function remove(place: ArchivePlace, { archive, path }: ArchiveFile): Promise<boolean> {
  const gone = passingPath(place, archive, "gone");
  const taken = await withLock(place, archive, () => {
    if (isInUse(place.directory, archive)) return false;
    renameSync(path, gone);
    unlinkSync(lockPath(place, archive));
    return true;
  });
  // Nobody waits for this, however long it takes.
  return taken === true && removeTree(gone) === undefined;
}

/**
 * Who makes an archive has it locked. What is there though nobody has is left from a job that was killed, and so are marks of
 * jobs that are gone, and locks of archives that were never made.
 */
async function removeLeftovers(place: ArchivePlace): Promise<void> {
  const now = Date.now();
  const byArchive = Map.groupBy(listArchiveFiles(place.directory), ({ archive }) => archive);
  for (const [archive, files] of byArchive) {
    for (const { kind, path } of files) if (kind === "use" && !isLiveMark(path, now)) removeTree(path);
    const left = files.filter(({ kind }) => kind === "new" || kind === "gone");
    const isBare = files.every(({ kind }) => kind === "lock");
    if (left.length === 0 && !isBare) continue;
    await withLock(place, archive, () => {
      for (const { path } of left) removeTree(path);
      if (isBare) unlinkSync(lockPath(place, archive));
    });
  }
}

/** Undefined when somebody else has the lock, or the work failed: an archive that cannot be removed is no job's trouble. */
async function withLock<Result>(place: ArchivePlace, archive: string, work: () => Result): Promise<Result | undefined> {
  try {
    const locking = await lockFile(lockPath(place, archive), "exclusive", "at-once");
    if (locking.kind !== "held") return undefined;
    try {
      return work();
    } finally {
      locking.lock.release();
    }
  } catch {
    return undefined;
  }
}
