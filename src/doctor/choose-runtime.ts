import { asRoot, type Remedy } from "./check.ts";
import { engineSetting } from "./engine-setting.ts";
import { onSystemPath } from "../process/program-path.ts";

/**
 * How to get another OCI runtime than the one that does not work: the user takes one that is there; where there is none, root
 * installs one first, and the next look names the user's step.
 */
export function chooseRuntime(
  broken: string,
  isThere = (program: string): boolean => onSystemPath(program) !== undefined,
): Remedy {
  const name = broken.slice(broken.lastIndexOf("/") + 1);
  const others = name === "runc" ? ["crun"] : name === "crun" ? ["runc"] : ["crun", "runc"];
  const other = others.find(isThere);
  if (other !== undefined) return engineSetting("runtime", other);
  return asRoot(`apt-get install ${others[0]} || dnf install ${others[0]}`);
}
