import type { Config } from "../config/schema.ts";
import type { Environment } from "../process/command.ts";
import type { Workspace } from "../workspace/layout.ts";
import { PodmanClient } from "./client.ts";

/**
 * The user's Podman in surroundings of ours: its `TMPDIR` belongs to the job (the runner's own is deleted under it, which
 * breaks the user's later commands, facts/podman-on-hpc.md, 1.1), and `XDG_RUNTIME_DIR` is there also without a login.
 *
 * @param directory to start it in.
 */
export function openPodman(
  config: Config,
  workspace: Workspace,
  login: Environment,
  runtimeDirectory: string,
  directory = workspace.base,
): PodmanClient {
  const environment = { ...login, XDG_RUNTIME_DIR: runtimeDirectory, TMPDIR: podmanTemporaryDirectory(workspace) };
  return new PodmanClient(config.general.podman.application_path ?? "podman", environment, directory);
}

/** Where Podman keeps what it downloads while it pulls. */
export function podmanTemporaryDirectory(workspace: Workspace): string {
  return `${workspace.privateDir}/tmp`;
}
