import { JacamarError } from "../error/error.ts";
import type { JobImages } from "../mechanism/podman/image-plan.ts";
import type { CallFilter } from "../seccomp/filter.ts";
import { callsThatContainersMiss } from "../seccomp/needed.ts";

/**
 * Throws `config_invalid` for a job with images, where the filter on system calls takes away what Podman needs. Podman's own message would
 * name some program of its own.
 */
export function requireContainerCalls(images: JobImages, filter: CallFilter | undefined): void {
  if (filter === undefined || (images.user ?? images.runner) === undefined) return;
  const missing = callsThatContainersMiss(filter).map((name) => `"${name}"`);
  if (missing.length === 0) return;
  throw new JacamarError(
    "config_invalid",
    `[auth.seccomp] blocks system calls without which no container runs: ${missing.join(", ")}`,
    { hint: "The job runs in a container. The administrator lets these calls through, or has no images run here." },
  );
}
