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

/**
 * Saves an image as a file or directory from which `podman run` can start containers where no registry is in reach
 * (specification, `archive_format`; podman-save(1)). Returns it as `podman run` wants it named.
 * Throws `image_archive_failed` or `disk_full`.
 */
export async function archiveImage(
  imageId: string,
  format: ArchiveFormat,
  path: string,
  podman: PodmanClient,
  stop: AbortSignal,
): Promise<string> {
  const answer = await podman.ask(["save", "--quiet", "--format", format, "--output", path, imageId], {
    timeoutSeconds: saveSeconds,
    stop,
  });
  if (succeeded(answer.ending)) return `${transports[format]}:${path}`;
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
