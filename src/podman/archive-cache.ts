import { chmodSync, renameSync, symlinkSync, utimesSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { duration, size } from "../measure/summary.ts";
import { type FileLock, lockFile, type Locking } from "../process/file-lock.ts";
import { Still } from "../log/still.ts";
import { directoryFailed, removeTree } from "../workspace/directories.ts";
import { remove } from "../workspace/script-files.ts";
import { type ArchiveFormat, archiveReference, saveImage } from "./archive.ts";
import { makeRoom } from "./archive-eviction.ts";
import {
  archiveName,
  archivePath,
  type ArchivePlace,
  diskUse,
  isWhole,
  listArchiveFiles,
  lockPath,
  markUse,
  passingPath,
} from "./archive-files.ts";
import type { PodmanClient } from "./client.ts";

/** What making an archive needs beside the image. */
export interface ArchiveTools {
  readonly podman: PodmanClient;
  readonly stop: AbortSignal;
  readonly say: (line: string) => void;
  /** `archive_cache_size` in bytes; undefined for no limit. */
  readonly limitBytes: number | undefined;
  /** How long until the log gets the first line about the progress; later ones come more seldom. */
  readonly reportSeconds?: number;
}

/** The image, by its content. */
export interface ArchivedImage {
  /** The digest of its configuration, which has the digests of its layers. */
  readonly id: string;
  /** Its size in the store; undefined where Podman did not tell. */
  readonly bytes: number | undefined;
}

/**
 * Provides an archive of an image from which the job's containers start, and returns it as `podman run` takes it, in the
 * job's private directory. An archive is made once for all jobs of the user with that image, at the same time or later: one of
 * them makes it, the others wait; one that is killed leaves the lock, and the next in line makes it.
 *
 * A job comes here with the id that its own pull has told, with its own credentials, policy and allowlist: so an archive is
 * never a way round a registry's refusal. Nobody can ask for one by anything but that id, which is a digest of the image's
 * content, so it is also never another image than the one that was pulled. The directory is the user's own and closed to others;
 * containers do not see it. Scripts on the host can write to it, as they can to Podman's own store of the same account.
 *
 * Throws `image_archive_failed`, `disk_full` or `directory_failed`.
 */
export async function provideArchive(
  image: ArchivedImage,
  format: ArchiveFormat,
  place: ArchivePlace,
  tools: ArchiveTools,
): Promise<string> {
  const archive = archiveName(image.id, format);
  const path = archivePath(place, archive);
  markUse(place, archive);
  const work = { image, format, archive, path, place, tools };
  if (!(await isKept(work))) await makeOnce(work);
  touch(path);
  return reference(format, path, place);
}

/** An archive that is to be made. */
interface Work {
  readonly image: ArchivedImage;
  readonly format: ArchiveFormat;
  readonly archive: string;
  readonly path: string;
  readonly place: ArchivePlace;
  readonly tools: ArchiveTools;
}

/** Whether it is there, and stays: with the mark made and nobody removing it now, nobody will. */
async function isKept({ archive, path, format, place, tools }: Work): Promise<boolean> {
  if (!isWhole(path, format)) return false;
  const locking = await lock(place, archive, "shared", "wait", tools.stop);
  if (locking.kind === "held") locking.lock.release();
  return isWhole(path, format);
}

async function makeOnce(work: Work): Promise<void> {
  const { archive, path, format, place, tools } = work;
  const held = await takeLock(work);
  try {
    // Somebody may have made it while this job waited, and a job that is to end makes none.
    if (tools.stop.aborted || isWhole(path, format)) return;
    // With the lock in hand nobody else is making it: what is there is what killed jobs have left.
    if (held) {
      for (const file of listArchiveFiles(place.directory)) {
        if (file.archive === archive && file.kind !== "use" && file.kind !== "lock") removeTree(file.path);
      }
    }
    await make(work, held);
  } finally {
    held?.release();
  }
  // Also without a limit: what killed jobs have left of other archives goes.
  await keepLimit(place, tools, tools.limitBytes ?? Number.POSITIVE_INFINITY);
}

/** Undefined where files cannot be locked: then each job makes its own, and the last one's stays. */
async function takeLock({ archive, place, tools }: Work): Promise<FileLock | undefined> {
  const first = await lock(place, archive, "exclusive", "at-once");
  if (first.kind === "held") return first.lock;
  if (first.kind === "unsupported") return undefined;
  tools.say("Another job is archiving this image; waiting for it");
  const bytes = () => bytesMade(place, archive);
  const second = await reporting("Still waiting for the other job's archive", bytes, tools, () =>
    lock(place, archive, "exclusive", "wait", tools.stop),
  );
  return second.kind === "held" ? second.lock : undefined;
}

/** Throws `directory_failed` or `disk_full`. */
async function lock(place: ArchivePlace, archive: string, ...how: LockingHow): Promise<Locking> {
  const path = lockPath(place, archive);
  try {
    return await lockFile(path, ...how);
  } catch (cause) {
    throw directoryFailed(path, systemErrorCode(cause), cause);
  }
}

type LockingHow = [how: "exclusive" | "shared", wait: "wait" | "at-once", stop?: AbortSignal];

/** Of what any job is making. */
function bytesMade(place: ArchivePlace, archive: string): number {
  const making = listArchiveFiles(place.directory).filter((file) => file.archive === archive && file.kind === "new");
  return making.reduce((sum, file) => sum + diskUse(file.path), 0);
}

/** Makes it under another name, sees that it is on the disk, and gives it its name: it is there whole, or not at all. */
async function make(work: Work, held: FileLock | undefined): Promise<void> {
  const { archive, path, format, place, tools } = work;
  const { stop, say } = tools;
  const temporary = passingPath(place, archive, "new");
  const began = performance.now();
  try {
    if (tools.limitBytes !== undefined) await removeUnused(place, tools, tools.limitBytes - expectedBytes(work));
    say(`Archiving the image as ${format}${work.image.bytes === undefined ? "" : `: ${size(work.image.bytes)}`}`);
    await reporting(
      "Still archiving",
      () => diskUse(temporary),
      tools,
      () => saveOrMakeRoom({ ...work, temporary, lock: held }),
    );
    if (stop.aborted) return;
    closeToOthers(temporary, format);
    await toDisk(temporary, format);
    putInPlace(temporary, path, format);
    await syncFile(place.directory);
    say(`Made the archive: ${size(diskUse(path))}, in ${duration((performance.now() - began) / 1000)}`);
  } catch (cause) {
    throw cause instanceof JacamarError ? cause : directoryFailed(temporary, systemErrorCode(cause), cause);
  } finally {
    removeTree(temporary);
  }
}

/** Formats of Docker hold the layers as they are, those of OCI compressed. */
function expectedBytes({ image, format }: Work): number {
  return format.startsWith("docker") ? (image.bytes ?? 0) : (image.bytes ?? 0) / 4;
}

/** Archives that no job uses are worth less than a job: where the disk is full, they go. */
async function saveOrMakeRoom(work: Work & { temporary: string; lock: FileLock | undefined }): Promise<void> {
  const { image, format, place, tools, temporary, lock } = work;
  const order = { imageId: image.id, format, path: temporary, lock, mark: `${place.privateDir}/archive` };
  try {
    await saveImage(order, tools.podman, tools.stop);
  } catch (error) {
    if (!(error instanceof JacamarError) || error.code !== "disk_full" || tools.stop.aborted) throw error;
    removeTree(temporary);
    const { removed } = await makeRoom(place, 0);
    if (removed === 0) throw error;
    tools.say(`The disk is full. Removed ${removed} archive(s) that no job uses; trying again`);
    await saveImage(order, tools.podman, tools.stop);
  }
}

/** The directory is closed already, unless `group_permissions` opens it; images may be secret even then. */
function closeToOthers(path: string, format: ArchiveFormat): void {
  chmodSync(path, format.endsWith("-dir") ? 0o700 : 0o600);
}

/** What has its name must be whole also after the machine has lost its power. */
async function toDisk(path: string, format: ArchiveFormat): Promise<void> {
  if (format.endsWith("-dir")) {
    for (const entry of await readdir(path, { recursive: true })) await syncFile(join(path, entry));
  }
  await syncFile(path);
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function putInPlace(temporary: string, path: string, format: ArchiveFormat): void {
  try {
    renameSync(temporary, path);
  } catch (error) {
    // Where files cannot be locked another job may have come first.
    if (!isWhole(path, format)) throw error;
  }
}

async function keepLimit(place: ArchivePlace, tools: ArchiveTools, limitBytes: number): Promise<void> {
  const left = await removeUnused(place, tools, limitBytes);
  if (left <= limitBytes) return;
  const sizes = `${size(left)}, more than archive_cache_size (${size(limitBytes)})`;
  tools.say(`WARNING: your archives of images take ${sizes}; all that are left are in use`);
}

/** Returns how many bytes the archives still take. */
async function removeUnused(place: ArchivePlace, { say }: ArchiveTools, limitBytes: number): Promise<number> {
  const { removed, left } = await makeRoom(place, limitBytes);
  if (removed > 0) say(`Removed ${removed} archive(s) that were not used for the longest time`);
  return left;
}

/** Which one was used last is seen from the time of its change. */
function touch(path: string): void {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // It may go a little earlier, then.
  }
}

/** Podman 4.3 takes `oci:` with a bare name only, and keeps the image under it: so that name is the job's own. */
function reference(format: ArchiveFormat, path: string, { jobKey, privateDir }: ArchivePlace): string {
  if (format !== "oci-dir") return archiveReference(format, path);
  const name = `image-${jobKey}`;
  const link = join(privateDir, name);
  remove(link);
  try {
    symlinkSync(path, link);
  } catch (cause) {
    throw directoryFailed(link, systemErrorCode(cause), cause);
  }
  return archiveReference(format, name);
}

/** Does work of some minutes, and tells now and then how far it is. */
async function reporting<Result>(
  words: string,
  bytes: () => number,
  { say, reportSeconds = 10 }: ArchiveTools,
  work: () => Promise<Result>,
): Promise<Result> {
  const still = new Still((seconds) => say(`${words}: ${size(bytes())} after ${duration(seconds)}`), reportSeconds);
  try {
    return await work();
  } finally {
    still.end();
  }
}
