import { existsSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import type { Stage } from "../gitlab/stage.ts";
import { type ContainerSpec, containerLabels, containerName, type ImageSource } from "../mechanism/podman/command.ts";
import { bashEntrypoint, type ImagePlan, shEntrypoint } from "../mechanism/podman/image-plan.ts";
import { containerWrapper, generatedScriptOf } from "../mechanism/podman/wrapper.ts";
import { selinuxLabels } from "../podman/selinux.ts";
import { requireBuildsApart } from "../workspace/builds-apart.ts";
import type { Workspace } from "../workspace/layout.ts";
import { isOwnFile, writeNew } from "../workspace/script-files.ts";
import type { StageContext } from "./context.ts";
import { registryAuthFile } from "./job-files.ts";
import { type Prepared, type PreparedImage } from "./prepared.ts";
import type { JobState } from "./state.ts";
import type { Volume } from "../mechanism/podman/volumes.ts";
import { userVolumes } from "./user-volumes.ts";

/**
 * The runner's helper unpacks artifacts and caches as root of the container and gives the files to the users that the archive names,
 * where it can. Outside those are subordinate ids, whose files no later stage on the host could remove.
 */
const withoutChown = ["--cap-drop=CHOWN"];

/** A stage that runs in a container, wherever that is. */
export interface ContainerStage {
  readonly context: Pick<StageContext, "account" | "variables">;
  readonly state: JobState;
  readonly job: Job;
  readonly stage: Stage;
  readonly image: ImagePlan;
  /** The script that the container runs, as it lies in the scripts directory. */
  readonly script: string;
}

/** All that the stage's `podman run` is made of. Throws `registry_auth_invalid` or `volume_invalid`. */
export function containerSpec(what: ContainerStage, prepared: PreparedImage, source: ImageSource): ContainerSpec {
  const { context, state, job, stage, image, script } = what;
  const { config, workspace, jobKey } = state;
  const { podman } = config.general;
  const labelled = existsSync(labelledFile(workspace));
  return {
    name: containerName(jobKey, stage.fileName, Date.now().toString(36)),
    labels: containerLabels(jobKey, stage.fileName, state.life),
    workspace,
    authFile: registryAuthFile(context.variables, job, workspace).path,
    entrypoint: image.entrypoint ?? (prepared.hasBash ? bashEntrypoint : shEntrypoint),
    removeAfterwards: !podman.disable_container_removal,
    tty: podman.tty,
    selinux: selinuxLabels(podman.selinux_labels, existsSync("/sys/fs/selinux/enforce"), labelled, jobKey),
    user: image.user,
    asContainerRoot: prepared.user !== "" && !choosesUser(image.options),
    platform: image.platform,
    options: image.role === "runner" ? [...withoutChown, ...image.options] : image.options,
    volumes: image.role === "user" ? userVolumes(context, state).map(({ volume }) => volume) : [],
    image: source,
    script,
  };
}

/**
 * Writes what the container is given to run, and the credentials file that Podman wants to see. Throws `builds_dir_invalid` where the
 * builds directory has come to lead where the container must not look.
 */
export function writeContainerFiles(
  { context, job, state, content }: Omit<ContainerStage, "script" | "image"> & { readonly content: Uint8Array },
  spec: ContainerSpec,
): void {
  requireBuildsApart(state.workspace);
  writeNew(spec.script, containerWrapper, 0o700);
  writeNew(generatedScriptOf(spec.script), content, 0o700);
  // Podman wants it to be there, though it has all images by now. A container of the job may have taken it away.
  const authFile = registryAuthFile(context.variables, job, state.workspace);
  if (authFile.content !== undefined && !isOwnFile(authFile.path, context.account.uid)) {
    writeNew(authFile.path, '{"auths":{}}', 0o600);
  }
}

/** Notes that SELinux has labelled the job's directories, so that no later stage does it again. */
export function noteLabelled(workspace: Workspace): void {
  writeNew(labelledFile(workspace), "", 0o600);
}

function labelledFile(workspace: Workspace): string {
  return `${workspace.privateDir}/selinux-labelled`;
}

/** Whether the administrator's options already say who the container's user is. */
function choosesUser(options: readonly string[]): boolean {
  return options.some((option) => /^(?:--user(?:ns)?(?:=|$)|-u)/.test(option));
}

/** Whether it is the job that has chosen the entrypoint. */
export function isEntrypointOfJob(image: ImagePlan, config: Config): boolean {
  return (
    image.role === "user" && config.general.podman.user_entry_point === undefined && image.entrypoint !== undefined
  );
}

/** An entrypoint of the job's that ended without running the script. */
export function entrypointFailed(exitCode: number): JacamarError {
  return new JacamarError(
    "entrypoint_failed",
    `The entrypoint of the job's image ended (exit code ${exitCode}) without running the script`,
    {
      hint: 'An entrypoint must run the command that it is given, as exec "$@" does. Leave image:entrypoint out to use a shell.',
    },
  );
}

/** A failure of Podman's, with what is known of the container: its image may have gone, and the job's volumes may be the reason. */
export function explained(error: unknown, image: ImagePlan, volumes: readonly Volume[]): unknown {
  const [first] = volumes;
  if (!(error instanceof JacamarError) || error.code !== "podman_failed") return error;
  if (error.message.endsWith(": image not known")) {
    return new JacamarError(
      "podman_failed",
      `The image "${image.name}" has been removed from this machine since the job began`,
      {
        hint: "Somebody has removed it, perhaps with podman image prune. Retry the job.",
        cause: error,
      },
    );
  }
  if (first === undefined) return error;
  return new JacamarError("podman_failed", error.message, {
    hint: `The job's own volumes may be the reason (${first.source} on ${first.target}${volumes.length > 1 ? ", …" : ""}): try without them. ${error.hint ?? ""}`,
    cause: error,
  });
}

/** What prepare left for the stage's image. Throws `state_missing`. */
export function requirePrepared(prepared: Prepared | undefined, plan: ImagePlan) {
  const image = plan.role === "user" ? prepared?.userImage : prepared?.runnerImage;
  if (prepared && image) return { ...prepared, image };
  throw withoutPrepare();
}

/** A stage that comes without a prepare stage before it. */
export function withoutPrepare(): JacamarError {
  return new JacamarError("state_missing", "This stage ran without a prepare stage before it", {
    hint: "Check that prepare_exec and prepare_args in the runner's config.toml call this program: prepare.",
  });
}
