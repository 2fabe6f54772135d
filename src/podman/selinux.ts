import type { JobKey } from "../gitlab/job-key.ts";
import type { SelinuxLabels } from "../mechanism/podman/command.ts";

/**
 * How the job's directories are labelled for its containers. Labelling a large tree takes minutes
 * (facts/podman-on-hpc.md, 1.3), so where SELinux is on it is done once for a job: all its containers get one level, and
 * only the first relabels. Where it is off, `:Z` and `:z` cost nothing and the command is the specification's.
 *
 * @param wanted `selinux_labels` of the configuration.
 * @param enabled whether the machine has SELinux on.
 * @param labelled whether a container of this job has labelled them before.
 */
export function selinuxLabels(wanted: boolean, enabled: boolean, labelled: boolean, key: JobKey): SelinuxLabels {
  if (!wanted) return { volumes: "keep", level: undefined };
  if (!enabled) return { volumes: "relabel", level: undefined };
  return { volumes: labelled ? "keep" : "relabel", level: levelOf(key) };
}

/** Two different categories below 1024, from the hexadecimal digits at the end of the key. */
function levelOf(key: JobKey): string {
  const digest = Number.parseInt(key.slice(-10), 16);
  const first = digest % 1024;
  const step = 1 + (Math.floor(digest / 1024) % 1023);
  const second = (first + step) % 1024;
  return `s0:c${Math.min(first, second)},c${Math.max(first, second)}`;
}
