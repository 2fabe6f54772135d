import { JacamarError } from "../../error/error.ts";
import type { Config } from "../../config/schema.ts";
import type { Job } from "../../gitlab/job.ts";
import type { Stage } from "../../gitlab/stage.ts";
import { type ImageName, parseImageName } from "./image-name.ts";
import { choosePullPolicies, type PullPolicy, toPullPolicy } from "./pull-policy.ts";

/** The entrypoint of a container where nobody chose another one, from the specification's example of the command. */
export const bashEntrypoint = ["/bin/bash", "-l", "-c"] as const;
/** The same for an image without Bash. */
export const shEntrypoint = ["/bin/sh", "-l", "-c"] as const;

/** An image that a job needs, and how its containers are started. */
export interface ImagePlan {
  readonly role: "user" | "runner";
  /** The key of the configuration that names it; undefined for the image that the job names. */
  readonly key: "runner_image" | "default_image" | undefined;
  /** The name as it was written. */
  readonly name: string;
  /** The name that Podman is given to find or pull it. */
  readonly pullName: string;
  /** Tried in turn. */
  readonly pullPolicies: readonly PullPolicy[];
  /** Undefined: `bashEntrypoint`, or `shEntrypoint` where the image has no Bash. */
  readonly entrypoint: readonly string[] | undefined;
  /** The administrator's further options of `podman run`. */
  readonly options: readonly string[];
  /** `linux/arm64` and the like; empty for the machine's own. */
  readonly platform: string;
  /** User number in the container, where the job asks for one. */
  readonly user: ContainerUser | undefined;
}

/** Linux takes no argument of 128 KiB or more. */
const longestEntrypointBytes = 64 * 1024;

export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
}

/** Which images a job needs. With neither, all of it runs on the host. */
export interface JobImages {
  readonly user: ImagePlan | undefined;
  readonly runner: ImagePlan | undefined;
  readonly stepScriptOnly: boolean;
}

/** Whether an image's name, in any of its spellings, is allowed. */
export type Allowed = (spellings: readonly string[]) => boolean;

/**
 * Decides which images a job needs, from the job response and the configuration alone.
 *
 * @param allowed the administrator's allowlist; undefined when there is none. `default_image` and `runner_image` are the
 *   administrator's own and are not asked about.
 * Throws `image_missing`, `image_name_invalid`, `image_refused`, `image_options_invalid` or `pull_policy_refused`.
 */
export function planImages(job: Job, config: Config, allowed: Allowed | undefined): JobImages {
  const { run_mechanism: mechanism, force_mechanism: forced, podman } = config.general;
  const none = { user: undefined, runner: undefined, stepScriptOnly: false };
  if (mechanism !== "podman") return none;
  const user = job.image ? planUserImage(job.image, config, allowed) : forced ? planDefaultImage(config) : undefined;
  if (!user) return none;
  const stepScriptOnly = podman.step_script_only;
  return { user, runner: stepScriptOnly ? undefined : planRunnerImage(config), stepScriptOnly };
}

/** The image in which a stage of the job runs; undefined for the host. */
export function imageOfStage(images: JobImages, stage: Stage): ImagePlan | undefined {
  if (images.stepScriptOnly) return stage.isStep ? images.user : undefined;
  return stage.owner === "user" ? images.user : images.runner;
}

function planUserImage(image: NonNullable<Job["image"]>, config: Config, allowed: Allowed | undefined): ImagePlan {
  const { podman } = config.general;
  const name = parseImageName(image.name);
  if (allowed && !allowed(name.spellings)) throw refused(name, podman.image_allowlist ?? []);
  return {
    role: "user",
    key: undefined,
    name: image.name,
    // What the allowlist has looked at is what must be pulled, not what a short name may mean on this machine.
    pullName: allowed ? name.qualified : image.name,
    pullPolicies: choosePullPolicies(image.pullPolicies, configuredPolicy(podman.image_pull_policy), image.name),
    entrypoint: nonEmpty(podman.user_entry_point) ?? jobEntrypoint(image.entrypoint),
    options: podman.custom_options ?? [],
    platform: checkPlatform(image.platform),
    user: parseUser(image.user),
  };
}

function planDefaultImage(config: Config): ImagePlan {
  const { podman } = config.general;
  if (podman.default_image === undefined) {
    throw new JacamarError("image_missing", "This runner runs every job in a container, and the job names no image", {
      hint: "Add to the job, for example: image: docker.io/library/debian:12",
    });
  }
  return {
    role: "user",
    key: "default_image",
    name: podman.default_image,
    pullName: podman.default_image,
    pullPolicies: [configuredPolicy(podman.image_pull_policy) ?? "always"],
    entrypoint: nonEmpty(podman.user_entry_point),
    options: podman.custom_options ?? [],
    platform: "",
    user: undefined,
  };
}

function planRunnerImage(config: Config): ImagePlan | undefined {
  const { podman } = config.general;
  if (podman.runner_image === undefined) return undefined;
  return {
    role: "runner",
    key: "runner_image",
    name: podman.runner_image,
    pullName: podman.runner_image,
    pullPolicies: [configuredPolicy(podman.runner_pull_policy) ?? "missing"],
    entrypoint: nonEmpty(podman.runner_entry_point),
    options: podman.runner_options ?? [],
    platform: "",
    user: undefined,
  };
}

function configuredPolicy(word: string | undefined): PullPolicy | undefined {
  return word === undefined ? undefined : toPullPolicy(word);
}

function nonEmpty(list: readonly string[] | undefined): readonly string[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

function jobEntrypoint(entrypoint: readonly string[] | undefined): readonly string[] | undefined {
  if (entrypoint?.some((part) => part.includes("\0"))) {
    throw new JacamarError("image_options_invalid", "The entrypoint of the job's image holds a NUL character");
  }
  if (Buffer.byteLength(JSON.stringify(entrypoint ?? [])) > longestEntrypointBytes) {
    throw new JacamarError(
      "image_options_invalid",
      `The entrypoint of the job's image has more than ${longestEntrypointBytes} bytes`,
    );
  }
  return nonEmpty(entrypoint);
}

function checkPlatform(platform: string): string {
  if (platform === "" || /^[a-z0-9]{1,20}\/[a-z0-9_]{1,20}(?:\/[a-z0-9.]{1,20})?$/.test(platform)) return platform;
  throw new JacamarError(
    "image_options_invalid",
    `The platform ${JSON.stringify(platform.slice(0, 60))} of the job's image is not one`,
    {
      hint: "Write it as os/architecture, for example linux/arm64.",
    },
  );
}

function parseUser(user: string): ContainerUser | undefined {
  if (user === "" || user === "root" || user === "root:root") return undefined;
  const match = /^([0-9]{1,9})(?::([0-9]{1,9}))?$/.exec(user);
  if (!match) {
    throw new JacamarError(
      "image_options_invalid",
      `The user ${JSON.stringify(user.slice(0, 60))} of the job's image is not a number`,
      {
        hint: "Give image:docker:user as a number, for example 1000 or 1000:1000. Outside the container the job is always you.",
      },
    );
  }
  const uid = Number(match[1]);
  const gid = match[2] === undefined ? uid : Number(match[2]);
  return uid === 0 && gid === 0 ? undefined : { uid, gid };
}

function refused(name: ImageName, patterns: readonly string[]): JacamarError {
  const same = name.qualified === name.written ? "" : ` (${name.qualified})`;
  return new JacamarError(
    "image_refused",
    `The image "${name.written}"${same} is not among those that this runner allows`,
    {
      hint: patterns.length === 0 ? "It allows none." : `Allowed are images that match: ${patterns.join("  ")}`,
    },
  );
}
