import type { Config } from "../config/schema.ts";
import type { JobLog } from "../log/job-log.ts";
import type { ArchiveFormat } from "../podman/archive.ts";
import { provideArchive } from "../podman/archive-cache.ts";
import type { PodmanClient } from "../podman/client.ts";
import type { StoredImage } from "../podman/images.ts";
import { type StageContext, throwIfStopped } from "./context.ts";
import { archivesDirectory } from "./job-files.ts";
import type { JobState } from "./state.ts";

/** A prepare stage that has pulled the user's image. */
export interface ArchiveStage {
  readonly context: StageContext;
  readonly state: JobState;
  readonly podman: PodmanClient;
  readonly log: JobLog;
}

/**
 * Archives the user's image, or finds its archive, and returns it as `podman run` takes it in the job's private directory.
 * Throws what {@link provideArchive} throws, and `interrupted`.
 */
export async function archiveUserImage(
  image: StoredImage,
  format: ArchiveFormat,
  { context, state, podman, log }: ArchiveStage,
): Promise<string> {
  const tools = { podman, stop: context.stop, say: (line: string) => log.say(line), limitBytes: limitOf(state.config) };
  const archive = await context.measure.step("archive", () =>
    provideArchive(image, format, archivePlace(state), tools),
  );
  throwIfStopped(context.stop);
  log.say(`The image is archived as ${archive}`);
  return archive;
}

function archivePlace({ workspace, jobKey }: JobState) {
  return { directory: archivesDirectory(workspace), jobKey, privateDir: workspace.privateDir };
}

function limitOf(config: Config): number | undefined {
  return config.general.podman.archive_cache_size;
}
