import type { Job } from "../gitlab/job.ts";
import { parseVolumes, type Volume, type VolumeWish } from "../mechanism/podman/volumes.ts";
import type { StageContext } from "./context.ts";
import type { JobState } from "./state.ts";

/**
 * The volumes that the user asks for, each with the variable that asks for it, where the administrator lets users do so
 * (`user_volume_variable`). Throws `volume_invalid`.
 *
 * @param job for messages: what the user has really written.
 */
export function userVolumes(
  context: Pick<StageContext, "variables">,
  { config, workspace }: JobState,
  job?: Job,
): { wish: VolumeWish; volume: Volume }[] {
  const prefix = config.general.podman.user_volume_variable;
  if (prefix === undefined) return [];
  const taken = [workspace.buildsDir, workspace.projectCacheDir, workspace.scriptsDir];
  const wishes = context.variables.withPrefix(prefix).map((wish): VolumeWish => {
    const written = job?.variables.findLast(({ key }) => key === wish.name)?.value;
    return written === wish.text ? wish : { ...wish, written };
  });
  return parseVolumes(wishes, taken).map((volume, index) => ({
    wish: wishes[index] ?? { name: prefix, text: "" },
    volume,
  }));
}
