import { JacamarError } from "../error/error.ts";
import { lastLine, type PodmanClient, succeeded } from "./client.ts";

export type ArchiveFormat = "docker-archive" | "docker-dir" | "oci-archive" | "oci-dir";

const transports: Readonly<Record<ArchiveFormat, string>> = {
  "docker-archive": "docker-archive",
  "docker-dir": "dir",
  "oci-archive": "oci-archive",
  "oci-dir": "oci",
};

const saveSeconds = 3600;

/** Where an archive goes. */
export interface ArchivePlace {
  readonly directory: string;
  /** Small letters, digits and dashes alone; unique to the job. */
  readonly name: string;
}

/**
 * Saves an image as a file or directory from which `podman run` can start containers where no registry is in reach
 * (specification, `archive_format`; podman-save(1)). Returns it as `podman run` wants it named, in `directory`: of a path
 * in `oci:PATH` Podman 4.3 makes an image name, which must have no capital letters, so that is the bare name.
 * Throws `image_archive_failed` or `disk_full`.
 */
export async function archiveImage(
  imageId: string,
  format: ArchiveFormat,
  { directory, name }: ArchivePlace,
  podman: PodmanClient,
  stop: AbortSignal,
): Promise<string> {
  const path = `${directory}/${name}`;
  const answer = await podman.ask(["save", "--quiet", "--format", format, "--output", path, imageId], {
    timeoutSeconds: saveSeconds,
    stop,
  });
  if (succeeded(answer.ending)) return `${transports[format]}:${format === "oci-dir" ? name : path}`;
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
 * Takes away the name under which Podman 4.3 keeps an image that was started from `oci:NAME`; newer ones give it none.
 * The image itself stays like every image that a job has used.
 */
export async function forgetArchive(archive: string, imageId: string, podman: PodmanClient): Promise<void> {
  const name = /^oci:([a-z0-9-]+)$/.exec(archive)?.[1];
  if (name === undefined) return;
  await podman.ask(["untag", imageId, `localhost/${name}:latest`], { timeoutSeconds: 60 });
}
