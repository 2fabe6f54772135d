import { parseVolumes, type Volume } from "../mechanism/podman/volumes.ts";
import type { StageContext } from "./context.ts";
import type { JobState } from "./state.ts";

/**
 * The volumes that the user asks for, each with the variable that asks for it, where the administrator lets users do so
 * (`user_volume_variable`). Throws `volume_invalid`.
 */
export function userVolumes(
  context: Pick<StageContext, "variables">,
  { config, workspace }: JobState,
): { name: string; volume: Volume }[] {
  const prefix = config.general.podman.user_volume_variable;
  if (prefix === undefined) return [];
  const taken = [workspace.buildsDir, workspace.projectCacheDir, workspace.scriptsDir];
  const wishes = context.variables.withPrefix(prefix);
  return parseVolumes(wishes, taken).map((volume, index) => ({ name: wishes[index]?.name ?? prefix, volume }));
}
