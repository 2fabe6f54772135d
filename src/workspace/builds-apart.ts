import { realpathSync } from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import type { Workspace } from "./layout.ts";

/** What lies beside the work trees in the user's directory: what containers must not see or change. */
const closed = ["archives", "cache", "run", "scripts"];

/**
 * Throws `builds_dir_invalid` where the builds directory of the user's choice, which each container of the job sees and can write to,
 * holds or lies in what containers are kept out of: what prepare leaves for the later stages decides what the driver runs, on the host
 * too. By the real places: a container can leave links where its user then asks for a builds directory.
 */
export function requireBuildsApart({ base, buildsBase, buildsDir }: Workspace): void {
  // Where the driver itself puts them; what the job says of runner and slot cannot lead out of there.
  if (buildsBase === base && buildsDir.startsWith(`${base}/builds/`)) return;
  const builds = realPlace(buildsDir);
  for (const name of closed) {
    const place = realPlace(`${base}/${name}`);
    if (builds === undefined || place === undefined || !(isWithin(builds, place) || isWithin(place, builds))) continue;
    throw new JacamarError(
      "builds_dir_invalid",
      `CUSTOM_CI_BUILDS_DIR cannot be used: containers of the job would see "${place}"`,
      { hint: "Name a directory that is no part of what this runner keeps for your jobs." },
    );
  }
}

/** Undefined for what is not there. Throws `builds_dir_invalid` for what cannot be looked at. */
function realPlace(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === "ENOENT") return undefined;
    throw new JacamarError("builds_dir_invalid", `Cannot find out where "${path}" is: ${code ?? "unknown error"}`, {
      cause,
    });
  }
}

function isWithin(path: string, above: string): boolean {
  return path === above || path.startsWith(above === "/" ? "/" : `${above}/`);
}
