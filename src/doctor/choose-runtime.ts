import { asUser, type Remedy } from "./check.ts";
import { onSystemPath } from "./programs.ts";

/** How a user takes another OCI runtime than the one that does not work: one that is there, where there is one. */
export function chooseRuntime(broken: string): Remedy {
  const name = broken.slice(broken.lastIndexOf("/") + 1);
  const others = ["crun", "runc"].filter((runtime) => runtime !== name);
  const other = others.find((runtime) => onSystemPath(runtime) !== undefined) ?? others[0] ?? "runc";
  const file = "~/.config/containers/containers.conf";
  return asUser(`mkdir -p ~/.config/containers && printf '[engine]\\nruntime = "${other}"\\n' >> ${file}`);
}
