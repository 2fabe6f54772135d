import { JacamarError } from "../error/error.ts";
import type { FileLock } from "../process/file-lock.ts";
import { lastLine, type PodmanClient, succeeded } from "./client.ts";

export type ArchiveFormat = "docker-archive" | "docker-dir" | "oci-archive" | "oci-dir";

const transports: Readonly<Record<ArchiveFormat, string>> = {
  "docker-archive": "docker-archive",
  "docker-dir": "dir",
  "oci-archive": "oci-archive",
  "oci-dir": "oci",
};

/**
 * An archive as `podman run` wants it named (containers-transports(5)).
 *
 * @param path its path; of `oci:PATH` Podman 4.3 makes an image name, which must have no capital letters, so for `oci-dir` a
 *   bare name of small letters, digits and dashes, in the directory in which Podman is started.
 */
export function archiveReference(format: ArchiveFormat, path: string): string {
  return `${transports[format]}:${path}`;
}

const saveSeconds = 6 * 3600;

/** What is saved, and where. */
export interface SaveOrder {
  readonly imageId: string;
  readonly format: ArchiveFormat;
  readonly path: string;
  /** The lock under which it is saved: it lasts until Podman is gone, also when this process is killed. */
  readonly lock: FileLock | undefined;
  /** Stands on the command line, so that cleanup finds what a killed driver has left running. */
  readonly mark: string;
}

/**
 * Saves an image as a file or directory from which `podman run` can start containers where no registry is in reach
 * (specification, `archive_format`; podman-save(1)). Throws `image_archive_failed` or `disk_full`.
 */
export async function saveImage(order: SaveOrder, podman: PodmanClient, stop: AbortSignal): Promise<void> {
  const { imageId, format, path, lock, mark } = order;
  const answer = await podman.ask(
    ["save", "--quiet", "--format", format, "--output", path, imageId],
    { timeoutSeconds: saveSeconds, stop, ...(lock ? { passOnDescriptor3: lock.descriptor } : {}) },
    ["/bin/sh", "-c", holdingLock, mark],
  );
  if (succeeded(answer.ending)) return;
  const reason = lastLine(answer.stderr);
  const full = /no space left on device|disk quota exceeded/i.test(answer.stderr);
  throw new JacamarError(
    full ? "disk_full" : "image_archive_failed",
    `Cannot archive the image as "${path}": ${reason}`,
    {
      hint: "Archives lie in data_dir. Check the space there.",
    },
  );
}

/**
 * This shell holds the lock as long as Podman runs. Podman itself must not inherit it: where there is no catatonit, the process
 * that it leaves behind for all later calls of the user would hold the lock for ever (do_pause() in its rootless_linux.c).
 */
const holdingLock = '"$@" 3>&-; exit "$?"';

/**
 * Takes away the name under which Podman 4.3 keeps an image that was started from `oci:NAME`; newer ones give it none.
 * The image itself stays like every image that a job has used.
 */
export async function forgetArchive(archive: string, imageId: string, podman: PodmanClient): Promise<void> {
  const name = /^oci:([a-z0-9-]+)$/.exec(archive)?.[1];
  if (name === undefined) return;
  await podman.ask(["untag", imageId, `localhost/${name}:latest`], { timeoutSeconds: 60 });
}
