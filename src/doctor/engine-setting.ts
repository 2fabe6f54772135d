import { asUser, type Remedy } from "./check.ts";

/**
 * How a user changes one setting of `[engine]` for their own Podman: in a file of its own beside containers.conf, which
 * Podman reads after it. So the command can be given twice, and no table stands twice in a file, which would not be TOML.
 */
export function engineSetting(key: "runtime" | "cgroup_manager", value: string): Remedy {
  const directory = "~/.config/containers/containers.conf.d";
  const file = `${directory}/${key.replace("_", "-")}.conf`;
  return asUser(`mkdir -p ${directory} && printf '[engine]\\n${key} = "${value}"\\n' > ${file}`);
}
