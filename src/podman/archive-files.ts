import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { systemErrorCode } from "../error/error.ts";
import type { JobKey } from "../gitlab/job-key.ts";
import { directoryFailed, removeTree } from "../workspace/directories.ts";
import type { ArchiveFormat } from "./archive.ts";

/**
 * The files in the directory of a user's archives, by their names:
 *
 * - `FORMAT-ID`: a whole archive;
 * - `FORMAT-ID.new-JOB`: one that a job is making, or has left half-made;
 * - `FORMAT-ID.gone-JOB`: one that is being removed;
 * - `FORMAT-ID.use-JOB`: a mark, see {@link markUse};
 * - `FORMAT-ID.lock`: whoever makes or removes the archive has it locked;
 * - `image-ID.json`: what is known of an image, see `image-facts.ts`.
 *
 * Anything else is nobody's, and stays.
 */
const names = /^((?:docker|oci)-(?:archive|dir)-[0-9a-f]{64})(?:\.(?:(lock)|(new|gone|use)-([0-9]+-[0-9a-f]{12})))?$/;

/** A job that wants archives, and where they are. */
export interface ArchivePlace {
  /** The directory of the user's archives. */
  readonly directory: string;
  readonly jobKey: JobKey;
  /** The job's own, which no container of it sees. What the job has marked is in use as long as it is there. */
  readonly privateDir: string;
}

/** A file or directory among the archives. */
export interface ArchiveFile {
  /** `FORMAT-ID` of the archive that it is, or belongs to. */
  readonly archive: string;
  readonly kind: "whole" | "new" | "gone" | "use" | "lock";
  /** The job that made it; undefined where it is no job's. */
  readonly jobKey: string | undefined;
  readonly path: string;
}

/** Name of the archive of an image: of its content, not of any job. */
export function archiveName(imageId: string, format: ArchiveFormat): string {
  const name = `${format}-${imageId}`;
  if (!names.test(name)) throw new Error("an archive of something that is no image id");
  return name;
}

export function archivePath(place: ArchivePlace, archive: string): string {
  return join(place.directory, archive);
}

/** Where a job puts an archive while it is making or removing it. */
export function passingPath(place: ArchivePlace, archive: string, kind: "new" | "gone"): string {
  return `${archivePath(place, archive)}.${kind}-${place.jobKey}`;
}

/** What is locked to make or remove an archive. It goes with the archive. */
export function lockPath(place: ArchivePlace, archive: string): string {
  return `${archivePath(place, archive)}.lock`;
}

/** What is in the directory of the archives now. Throws `directory_failed`. */
export function listArchiveFiles(directory: string): ArchiveFile[] {
  let entries: string[];
  try {
    entries = readdirSync(directory);
  } catch (cause) {
    throw directoryFailed(directory, systemErrorCode(cause), cause);
  }
  return entries.flatMap((name) => {
    const [, archive, lock, kind, jobKey] = names.exec(name) ?? [];
    if (archive === undefined) return [];
    return [{ archive, kind: kindOf(lock ?? kind), jobKey, path: join(directory, name) }];
  });
}

function kindOf(word: string | undefined): ArchiveFile["kind"] {
  return word === "lock" || word === "new" || word === "gone" || word === "use" ? word : "whole";
}

/**
 * Whether a whole archive is there. It is opened, not only looked at, so that NFS asks the server. What cannot be an archive (an
 * empty file, a link) is none.
 */
export function isWhole(path: string, format: ArchiveFormat): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    const status = fstatSync(descriptor);
    return format.endsWith("-dir") ? status.isDirectory() : status.isFile() && status.size > 0;
  } finally {
    closeSync(descriptor);
  }
}

/** Bytes on disk of a file, or of a directory with all that is in it. What is gone meanwhile counts nothing. */
export function diskUse(path: string): number {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return 0;
  if (!status.isDirectory()) return status.blocks * 512;
  let entries: string[];
  try {
    entries = readdirSync(path);
  } catch {
    return 0;
  }
  return entries.reduce((sum, name) => sum + diskUse(join(path, name)), 0);
}

/** A job may run for a month at most (the longest timeout of GitLab), so an older mark is of a job that nobody cleaned up. */
const longestUseMilliseconds = 32 * 24 * 3600 * 1000;

/**
 * Marks an archive as in use by the job until cleanup, before the archive is even looked for. Whoever removes one looks for marks
 * while it has the archive locked, and the job looks for the archive under that lock: so either the mark is seen, or the archive
 * is gone when the job looks. The mark is a symbolic link to the job's private directory, since a link is made with its content
 * in one step; nobody follows it. Throws `directory_failed` or `disk_full`.
 */
export function markUse(place: ArchivePlace, archive: string): void {
  const path = `${archivePath(place, archive)}.use-${place.jobKey}`;
  try {
    const left = removeTree(path);
    if (left) throw left;
    symlinkSync(place.privateDir, path);
  } catch (cause) {
    throw directoryFailed(path, systemErrorCode(cause), cause);
  }
}

/** Whether a mark says that its job is there. One whose job is gone is not; where that cannot be seen, it is. */
export function isLiveMark(path: string, now: number): boolean {
  let target: string;
  try {
    if (now - lstatSync(path).mtimeMs > longestUseMilliseconds) return false;
    target = readlinkSync(path);
  } catch {
    // Taken away meanwhile, or no mark of ours.
    return false;
  }
  try {
    return target.startsWith("/") && lstatSync(target, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}

/** Whether a job other than one that is gone has marked an archive. */
export function isInUse(directory: string, archive: string): boolean {
  const now = Date.now();
  return listArchiveFiles(directory).some(
    (file) => file.kind === "use" && file.archive === archive && isLiveMark(file.path, now),
  );
}

/**
 * Takes away all that a job has in the directory: its marks, and what it has left half-made. For cleanup, after the job's
 * processes have ended, and for a prepare stage that fails. Throws `directory_failed`.
 */
export function forgetJob(directory: string, jobKey: JobKey): void {
  for (const file of listArchiveFiles(directory)) {
    if (file.jobKey !== jobKey) continue;
    if (file.kind === "use") unlinkSync(file.path);
    else {
      const left = removeTree(file.path);
      if (left) throw directoryFailed(file.path, systemErrorCode(left), left);
    }
  }
}
