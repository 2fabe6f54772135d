import * as v from "valibot";
import { JacamarError } from "../error/error.ts";
import type { ImagePlan } from "../mechanism/podman/image-plan.ts";
import type { PullPolicy } from "../mechanism/podman/pull-policy.ts";
import { gitlabsOwn, type UsedCredentials } from "../mechanism/podman/registry-auth.ts";
import type { OutputPipes, Sinks } from "../process/follow.ts";
import { killGroup } from "../process/capture.ts";
import { failureText, lastLine, type PodmanClient, succeeded } from "./client.ts";

/** An image that is in the user's store. */
export interface StoredImage {
  readonly id: string;
  /** Digest under which a registry has it, or would have it; empty where that is not known. */
  readonly digest: string;
  /** Its size in the store. */
  readonly bytes: number | undefined;
  /** The user that the image names for its containers; empty for root. */
  readonly user: string;
}

/** What pulling needs beside the plan. */
export interface PullTools {
  readonly podman: PodmanClient;
  readonly authFile: string;
  /** Which credentials of that file are for the image; undefined where that is not known. */
  readonly credentials?: UsedCredentials | undefined;
  readonly say: (line: string) => void;
  /** Gets Podman's own progress. */
  readonly progress: Sinks;
  readonly takePipes: () => Promise<OutputPipes>;
  readonly stop: AbortSignal;
}

export type Origin = "pulled" | "local";

const askSeconds = 60;

/**
 * Brings an image into the user's store as its policies ask, each in turn until one works (as GitLab's Docker executor),
 * and says in the job log what it does.
 * Throws `image_not_found` (the job's fault) or `image_pull_failed` (the registry's, the network's, or the administrator's who
 * chose the image).
 */
export async function provideImage(plan: ImagePlan, tools: PullTools): Promise<{ image: StoredImage; origin: Origin }> {
  let failure: JacamarError | undefined;
  for (const [index, policy] of plan.pullPolicies.entries()) {
    if (index > 0) tools.say(`Attempt ${index + 1}: trying the pull policy "${policy}"`);
    const result = await tryPolicy(plan, policy, tools);
    if (!(result instanceof JacamarError)) return result;
    failure = result;
    if (tools.stop.aborted) break;
    if (index + 1 < plan.pullPolicies.length) tools.say(`WARNING: ${result.message}`);
  }
  if (failure === undefined) throw new Error("an image without a pull policy");
  throw failure.code === "image_not_found" && plan.key !== undefined
    ? chosenByAdministrator(failure, plan.key)
    : failure;
}

/** An image that is not there is no fault of the job's when the job has not named it. */
function chosenByAdministrator({ message }: JacamarError, key: string): JacamarError {
  return new JacamarError("image_pull_failed", message, {
    hint: `The administrator has chosen this image (${key} in the configuration). Show these lines to the administrators.`,
  });
}

async function tryPolicy(
  plan: ImagePlan,
  policy: PullPolicy,
  tools: PullTools,
): Promise<{ image: StoredImage; origin: Origin } | JacamarError> {
  const stored = policy === "always" ? undefined : await findImage(plan.pullName, tools.podman);
  if (stored && policy !== "newer") return { image: stored, origin: "local" };
  if (policy === "never") {
    return new JacamarError(
      "image_not_found",
      `The image "${plan.name}" is not on this machine, and the pull policy is "never"`,
      {
        hint: "Pull it by hand on this machine, or use another pull_policy.",
      },
    );
  }
  const failure = await pull(plan, tools);
  if (failure) return stored && policy === "newer" ? { image: stored, origin: "local" } : failure;
  const image = await findImage(plan.pullName, tools.podman);
  if (image) return { image, origin: "pulled" };
  return new JacamarError("image_pull_failed", `Podman pulled the image "${plan.name}", but then does not find it`);
}

/** The arguments of Podman that bring an image. */
export function pullArguments(plan: ImagePlan, authFile: string): string[] {
  const platform = plan.platform === "" ? [] : [`--platform=${plan.platform}`];
  return ["pull", "--authfile", authFile, ...platform, plan.pullName];
}

async function pull(plan: ImagePlan, tools: PullTools): Promise<JacamarError | undefined> {
  let said = "";
  const remember = (chunk: Uint8Array) => {
    said = (said + Buffer.from(chunk).toString("utf8")).slice(-64 * 1024);
  };
  const pulling = await tools.podman.follow(pullArguments(plan, tools.authFile), await tools.takePipes(), {
    // Standard output is the bare id of the image.
    stdout: () => undefined,
    stderr: (chunk) => {
      remember(chunk);
      tools.progress.stderr(chunk);
    },
  });
  const kill = () => killGroup(pulling.pid, "SIGKILL");
  tools.stop.addEventListener("abort", kill, { once: true });
  if (tools.stop.aborted) kill();
  const ending = await pulling.ended;
  tools.stop.removeEventListener("abort", kill);
  if (succeeded(ending)) return undefined;
  return pullFailure(plan.name, said, tools.credentials);
}

/** Sorts Podman's words on a failed pull into the job's fault and everybody else's. */
export function pullFailure(name: string, said: string, credentials?: UsedCredentials): JacamarError {
  const reason = lastLine(said);
  // The name is the user's, and may hold any of the words that are looked for.
  const words = said.replace(new RegExp(`(?<!\\w)${name.replace(/[^\w]/g, "\\$&")}(?!\\w)`, "g"), "IMAGE");
  if (
    /unauthorized|authentication required|(?<!permission )denied|invalid username\/password|403 \(Forbidden\)/i.test(
      words,
    )
  ) {
    return refusal(name, credentials);
  }
  if (
    /manifest unknown|name unknown|not found: manifest|repository .*not found|invalid reference format|no image found in (?:manifest|image) (?:list|index)|short-name/i.test(
      words,
    )
  ) {
    return new JacamarError("image_not_found", `Cannot pull the image "${name}": the registry does not have it`, {
      hint: "Check the image's name, and its digest or tag.",
    });
  }
  if (name.startsWith("localhost/")) {
    return new JacamarError("image_not_found", `The image "${name}" is not on this machine, and no registry has it`, {
      hint: "Names that begin with localhost/ are images that were made here, by the account that runs the job.",
    });
  }
  if (/no space left on device|disk quota exceeded/i.test(words)) {
    return new JacamarError("disk_full", `Cannot pull the image "${name}": ${reason}`, {
      hint: "Remove images that you no longer need: podman image prune --all",
    });
  }
  return new JacamarError("image_pull_failed", `Cannot pull the image "${name}": ${reason}`, {
    hint: "The registry or the network may be down: retry the job. If it stays, show this line to the administrators.",
  });
}

/** The registry did not let the job have the image, or does not say that it has none: for many these are one answer. */
function refusal(name: string, credentials: UsedCredentials | undefined): JacamarError {
  const cannot = `Cannot pull the image "${name}":`;
  if (credentials !== undefined && credentials.source === undefined) {
    const message = `${cannot} the job has no credentials for ${credentials.registry}, which does not know the image, or gives it to nobody without`;
    return new JacamarError("image_not_found", message, {
      hint: `Check the image's name. Credentials for a private image go into the CI variable ${credentials.variable}.`,
    });
  }
  const source = credentials?.source ?? gitlabsOwn;
  if (source !== gitlabsOwn) {
    const message = `${cannot} the registry refused the credentials of the CI variable ${source}, or does not know the image`;
    return new JacamarError("image_not_found", message, {
      hint: "Check the image's name, and whether the user of these credentials may read it.",
    });
  }
  const message = `${cannot} the registry refused the job's credentials, or does not know the image`;
  return new JacamarError("image_not_found", message, {
    hint: "Check the image's name. For a private image of another project set DOCKER_AUTH_CONFIG, or allow this project in that project's job token settings.",
  });
}

const inspectSchema = v.pipe(
  v.array(
    v.object({
      Id: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      Digest: v.optional(v.string(), ""),
      RepoDigests: v.optional(v.nullable(v.array(v.string()))),
      Size: v.optional(v.pipe(v.number(), v.minValue(0))),
      User: v.optional(v.string(), ""),
      Config: v.optional(v.nullable(v.object({ User: v.optional(v.string(), "") }))),
    }),
  ),
  v.minLength(1),
);

async function findImage(name: string, podman: PodmanClient): Promise<StoredImage | undefined> {
  const answer = await podman.ask(["image", "inspect", "--", name], { timeoutSeconds: askSeconds });
  if (!succeeded(answer.ending)) {
    if (/no such (?:object|image)|image not known|unable to find|short-name/i.test(answer.stderr)) return undefined;
    throw new JacamarError("podman_failed", `Podman cannot look for the image "${name}": ${failureText(answer)}`, {
      hint: "Try as the same user: podman info",
    });
  }
  let parsed: v.SafeParseResult<typeof inspectSchema>;
  try {
    parsed = v.safeParse(inspectSchema, JSON.parse(answer.stdout));
  } catch {
    parsed = v.safeParse(inspectSchema, undefined);
  }
  const image = parsed.success ? parsed.output[0] : undefined;
  if (!image)
    throw new JacamarError("podman_failed", `Podman's description of the image "${name}" cannot be understood`);
  return {
    id: image.Id,
    digest: digestOf(name, image.Digest, image.RepoDigests ?? []),
    bytes: image.Size,
    user: image.Config?.User ?? image.User,
  };
}

/**
 * The digest under which the registry has the image: what it was asked for by, else Podman's. Podman keeps one record for an image
 * that came by several names with several digests (made here and pushed, or compressed in two ways), and then does not
 * tell which is whose; empty then.
 */
function digestOf(name: string, digest: string, repositoryDigests: readonly string[]): string {
  const asked = /@(sha\d+:[0-9a-f]+)$/.exec(name)?.[1];
  if (asked !== undefined) return asked;
  const [repositories, digests] = [0, 1].map(
    (part) => new Set(repositoryDigests.map((entry) => entry.split("@")[part])),
  );
  return (repositories?.size ?? 0) > 1 && (digests?.size ?? 0) > 1 ? "" : digest;
}

/**
 * Whether a container of the image can run the shell at all: Bash is the entrypoint of the specification, and an image
 * without Bash may have sh. Where it cannot, what Podman said of it.
 *
 * @param labels by which cleanup finds the container.
 */
export async function tryShell(
  shell: "/bin/bash" | "/bin/sh",
  image: Pick<StoredImage, "id">,
  podman: PodmanClient,
  labels: readonly string[],
): Promise<{ works: boolean; said: string }> {
  const answer = await podman.ask(
    [
      "run",
      "--rm",
      "--network=none",
      "--user=0:0",
      "--pull=never",
      ...labels.flatMap((label) => ["--label", label]),
      "--entrypoint",
      shell,
      image.id,
      "-c",
      "exit 0",
    ],
    { timeoutSeconds: askSeconds },
  );
  const said = lastLine(answer.stderr);
  if (succeeded(answer.ending)) return { works: true, said };
  if ("exitCode" in answer.ending && (answer.ending.exitCode === 126 || answer.ending.exitCode === 127)) {
    return { works: false, said };
  }
  throw new JacamarError("podman_failed", `Podman cannot start a container: ${said}`, {
    hint: "Try as the same user on the same machine: podman run --rm IMAGE true",
  });
}
