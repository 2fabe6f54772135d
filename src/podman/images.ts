import * as v from "valibot";
import { JacamarError } from "../error/error.ts";
import type { ImagePlan } from "../mechanism/podman/image-plan.ts";
import type { PullPolicy } from "../mechanism/podman/pull-policy.ts";
import type { OutputPipes, Sinks } from "../process/follow.ts";
import { killGroup } from "../process/capture.ts";
import { lastLine, type PodmanClient, succeeded } from "./client.ts";

/** An image that is in the user's store. */
export interface StoredImage {
  readonly id: string;
  /** Digest under which a registry has it, or would have it; may be empty. */
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
 * Throws `image_not_found` (the job's fault) or `image_pull_failed` (the registry's or the network's).
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
  throw failure ?? new Error("an image without a pull policy");
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
        hint: "Pull it by hand, or use another pull_policy.",
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
  return pullFailure(plan.name, said);
}

/** Sorts Podman's words on a failed pull into the job's fault and everybody else's. */
export function pullFailure(name: string, said: string): JacamarError {
  const reason = lastLine(said);
  // The name is the user's, and may hold any of the words that are looked for.
  const words = said.replace(new RegExp(`(?<!\\w)${name.replace(/[^\w]/g, "\\$&")}(?!\\w)`, "g"), "IMAGE");
  if (
    /unauthorized|authentication required|(?<!permission )denied|invalid username\/password|403 \(Forbidden\)/i.test(
      words,
    )
  ) {
    return new JacamarError(
      "image_not_found",
      `Cannot pull the image "${name}": the registry refused the job's credentials, or does not know the image`,
      {
        hint: "Check the image's name. For a private image of another project set DOCKER_AUTH_CONFIG, or allow this project in that project's job token settings.",
      },
    );
  }
  if (
    /manifest unknown|name unknown|not found: manifest|repository .*not found|invalid reference format|no image found in (?:manifest|image) (?:list|index)|short-name/i.test(
      words,
    )
  ) {
    return new JacamarError("image_not_found", `Cannot pull the image "${name}": the registry does not have it`, {
      hint: "Check the image's name and tag.",
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

const inspectSchema = v.pipe(
  v.array(
    v.object({
      Id: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
      Digest: v.optional(v.string(), ""),
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
    throw new JacamarError("podman_failed", `Podman cannot look for the image "${name}": ${lastLine(answer.stderr)}`, {
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
  return { id: image.Id, digest: image.Digest, bytes: image.Size, user: image.Config?.User ?? image.User };
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
