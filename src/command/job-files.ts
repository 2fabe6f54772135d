import type { Account } from "../account/account.ts";
import type { Config } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import type { UserVariables } from "../gitlab/variables.ts";
import type { ArchiveFormat } from "../podman/archive.ts";
import type { DirectoryRules } from "../workspace/directories.ts";
import type { Workspace } from "../workspace/layout.ts";

/** Whether the users' scripts become jobs of a scheduler. */
export function isBatch(config: Config): boolean {
  return config.general.executor !== "shell";
}

/** How the users' images are archived. Unset, the best for the deployment: other nodes may see no registry. */
export function archiveFormat(config: Config): ArchiveFormat | "none" {
  return config.general.podman.archive_format ?? (isBatch(config) ? "docker-archive" : "none");
}

/** Archives of images, and what is known of images, of all jobs of the user. No container sees it. */
export function archivesDirectory(workspace: Pick<Workspace, "base">): string {
  return `${workspace.base}/archives`;
}

/** Where it stands which jobs of the scheduler are to hold allocations that CI jobs of the user share. They outlive each of them. */
export function allocationsDirectory(workspace: Pick<Workspace, "base">): string {
  return `${workspace.base}/allocations`;
}

/** Whose the job's directories must be, and with which mode. */
export function directoryRules(config: Config, account: Account): DirectoryRules {
  return { uid: account.uid, mode: config.general.group_permissions ? 0o750 : 0o700, home: account.home };
}

/** The directories whose paths stand on the command lines of what the driver starts for a job. */
export function jobDirectories(workspace: Workspace): string[] {
  return [workspace.scriptsDir, workspace.privateDir];
}

/** Tells whoever finds the private directory whose it is, and until when the job can be alive. */
export function lifeFile(privateDir: string): string {
  return `${privateDir}/life`;
}

/** Name of the shell that only reads the login's environment; no such file is there. */
export function loginName(workspace: Workspace): string {
  return `${workspace.privateDir}/login`;
}

/** Where the pipes for the output of the job's scripts lie until they are used. */
export function pipesDirectory(workspace: Workspace): string {
  return `${workspace.privateDir}/pipes`;
}

/** The file with credentials for registries that Podman is given; `content` where the driver is to write it. */
export interface AuthFile {
  readonly path: string;
  /** `joined`: the job's own and GitLab's; `given`: what the user put into REGISTRY_AUTH_FILE; undefined: it is there. */
  readonly content: { kind: "joined" } | { kind: "given"; text: string } | undefined;
}

/**
 * Which credentials Podman is given: `auth.json`, unless the user names another file with `REGISTRY_AUTH_FILE`
 * (specification, "The authfile"). As a CI variable of type file its content comes here and is written to a file of
 * ours: the runner writes its own only when the first script runs.
 * Throws `registry_auth_invalid`.
 */
export function registryAuthFile(variables: UserVariables, job: Job, workspace: Workspace): AuthFile {
  const wish = variables.get("REGISTRY_AUTH_FILE");
  if (wish === undefined || wish.text.trim() === "")
    return { path: `${workspace.scriptsDir}/auth.json`, content: { kind: "joined" } };
  const isFile = job.variables.findLast((variable) => variable.key === wish.name)?.file === true;
  if (isFile || wish.text.trimStart().startsWith("{")) {
    return { path: `${workspace.scriptsDir}/registry-auth.json`, content: { kind: "given", text: wish.text } };
  }
  const path = wish.text.trim();
  if (!path.startsWith("/") || /[\n\r\0]/.test(path)) {
    throw new JacamarError(
      "registry_auth_invalid",
      "The variable REGISTRY_AUTH_FILE is not the absolute path of a file",
      {
        hint: "Use a CI variable of type file, or give the path of a file that is there before the job.",
      },
    );
  }
  return { path, content: undefined };
}
