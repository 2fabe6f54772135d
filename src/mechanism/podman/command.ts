import type { Workspace } from "../../workspace/layout.ts";
import type { JobLife } from "../../gitlab/job-life.ts";
import type { JobKey } from "../../gitlab/job-key.ts";
import type { PullPolicy } from "./pull-policy.ts";
import type { ContainerUser } from "./image-plan.ts";
import { type Volume, volumeArgument } from "./volumes.ts";

/** All that a `podman run` of ours is made of. */
export interface ContainerSpec {
  /** Unique among the user's containers. */
  readonly name: string;
  readonly labels: readonly string[];
  readonly workspace: Workspace;
  readonly authFile: string;
  readonly entrypoint: readonly string[];
  readonly removeAfterwards: boolean;
  readonly tty: boolean;
  readonly selinux: SelinuxLabels;
  readonly user: ContainerUser | undefined;
  /** Take root of the container, which is the job's user outside, in place of the user that the image names. */
  readonly asContainerRoot: boolean;
  readonly platform: string;
  readonly options: readonly string[];
  readonly volumes: readonly Volume[];
  /** What is run. */
  readonly image: ImageSource;
  /** Path of the script, the same inside and outside. */
  readonly script: string;
}

/** The id of an image in the store, an archive with its transport, or a name that the node pulls by itself. */
export type ImageSource =
  | { readonly id: string }
  | { readonly archive: string }
  | { readonly name: string; readonly policy: PullPolicy };

/**
 * How SELinux lets containers at the job's directories. `relabel`: Podman labels them for the container (`:Z`, `:z`), as
 * the specification's command has it. `keep`: they have been labelled before. `level`: label of all containers of the
 * job, so that labelling once is enough. Without a level each container gets one of its own.
 */
export interface SelinuxLabels {
  readonly volumes: "relabel" | "keep";
  readonly level: string | undefined;
}

/**
 * The arguments of `podman run` for a stage, in the order of the specification's example ("The resulting Podman command"):
 * volumes, authfile, entrypoint, rm, tty; then what is ours (name, labels), what the administrator and the user added, the
 * image and the script.
 */
export function runArguments(spec: ContainerSpec): string[] {
  const { options, image, argument } = runCommand(spec);
  return [...options, image, argument];
}

/** The same in its parts: a job file adds options that are known on the node only. */
export function runCommand(spec: ContainerSpec): { options: string[]; image: string; argument: string } {
  return {
    options: runOptions(spec),
    image: imageArgument(spec.image),
    argument: scriptArgument(spec.entrypoint, spec.script),
  };
}

function runOptions(spec: ContainerSpec): string[] {
  const { workspace } = spec;
  return [
    "run",
    ...jobVolumes(workspace, spec.selinux).flatMap((volume) => ["--volume", volumeArgument(volume)]),
    "--authfile",
    spec.authFile,
    "--entrypoint",
    entrypointArgument(spec.entrypoint),
    ...(spec.removeAfterwards ? ["--rm"] : []),
    ...(spec.tty ? ["--tty"] : []),
    "--name",
    spec.name,
    ...spec.labels.flatMap((label) => ["--label", label]),
    ...(spec.selinux.level === undefined ? [] : ["--security-opt", `label=level:${spec.selinux.level}`]),
    ...userArguments(spec),
    ...(spec.platform === "" ? [] : [`--platform=${spec.platform}`]),
    ...pullArguments(spec.image),
    ...spec.options,
    ...spec.volumes.flatMap((volume) => ["--volume", volumeArgument(volume)]),
  ];
}

function pullArguments(image: ImageSource): string[] {
  // What prepare has pulled is what runs; no later stage asks a registry.
  if ("id" in image) return ["--pull=never"];
  // Each start from an archive would tell the log how it is read.
  if ("archive" in image) return ["--quiet"];
  return [`--pull=${image.policy}`];
}

function imageArgument(image: ImageSource): string {
  if ("id" in image) return image.id;
  return "archive" in image ? image.archive : image.name;
}

/** The directories that every container of a job sees, at the same path inside and outside. */
export function jobVolumes(workspace: Workspace, selinux: SelinuxLabels): Volume[] {
  const labelled = selinux.volumes === "relabel";
  const volume = (path: string, label: string): Volume => ({
    source: path,
    target: path,
    options: labelled ? [label] : [],
  });
  return [volume(workspace.buildsDir, "Z"), volume(workspace.projectCacheDir, "z"), volume(workspace.scriptsDir, "Z")];
}

/** Labels by which every container of a job is found again. The job's id cannot be changed by a CI variable. */
export function containerLabels(key: JobKey, stage: string, life: JobLife | undefined): string[] {
  return [`${jobLabel}=${key}`, `${stageLabel}=${stage}`, ...(life === undefined ? [] : [`${lifeLabel}=${life}`])];
}

export const jobLabel = "jacamar-ci.job";
export const stageLabel = "jacamar-ci.stage";
/** On a node: the scheduler's number of the job that runs the container. */
export const batchLabel = "jacamar-ci.batch";
/** Tells whoever finds a container whether its job can still be alive. */
export const lifeLabel = "jacamar-ci.life";

/** @param nonce makes the name unique when a stage is run again. */
export function containerName(key: JobKey, stageFileName: string, nonce: string): string {
  return `jacamar-ci-${key}-${stageFileName}-${nonce}`;
}

function userArguments(spec: ContainerSpec): string[] {
  if (spec.user) {
    // Whatever the number inside, the files of the job must stay the user's own: so that number *is* the user.
    const { uid, gid } = spec.user;
    return [`--user=${uid}:${gid}`, `--userns=keep-id:uid=${uid},gid=${gid}`];
  }
  return spec.asContainerRoot ? ["--user=0:0"] : [];
}

/** Podman takes a list in JSON, and an empty text for no entrypoint at all, which GitLab writes as `[""]`. */
function entrypointArgument(entrypoint: readonly string[]): string {
  return entrypoint.every((part) => part === "") ? "" : JSON.stringify(entrypoint);
}

/** A shell with `-c` reads its argument as a line of shell; every other entrypoint gets the path as it is. */
function scriptArgument(entrypoint: readonly string[], script: string): string {
  const last = entrypoint.at(-1) ?? "";
  const readByShell = /^-[a-z]*c$/.test(last);
  if (!readByShell || /^[A-Za-z0-9_./%+@,=-]+$/.test(script)) return script;
  return `'${script.replaceAll("'", "'\\''")}'`;
}
