import type { Config } from "../config/schema.ts";
import type { Allowed } from "../mechanism/podman/image-plan.ts";

/** The administrator's list, compiled only when there is one: its engine takes time to load. */
export async function allowlistOf(config: Config): Promise<Allowed | undefined> {
  const sources = config.general.podman.image_allowlist;
  if (sources === undefined || config.general.run_mechanism !== "podman") return undefined;
  const { compilePattern, matchesAny } = await import("../config/patterns.ts");
  const patterns = sources.map((source) => compilePattern(source));
  return (spellings) => matchesAny(patterns, spellings);
}
