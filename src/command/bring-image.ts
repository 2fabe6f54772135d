import { JacamarError } from "../error/error.ts";
import { type JobLog, printableLine } from "../log/job-log.ts";
import { writeWhole } from "../log/output.ts";
import { Fold } from "../log/fold.ts";
import { Still } from "../log/still.ts";
import type { Facts } from "../measure/measurements.ts";
import { duration, size } from "../measure/summary.ts";
import { parseImageName } from "../mechanism/podman/image-name.ts";
import type { ImagePlan } from "../mechanism/podman/image-plan.ts";
import { type CredentialSources, usedCredentials } from "../mechanism/podman/registry-auth.ts";
import { diskUse } from "../podman/archive-files.ts";
import type { PodmanClient } from "../podman/client.ts";
import { recallImage, rememberImage } from "../podman/image-facts.ts";
import { type Origin, provideImage, type StoredImage, tryShell } from "../podman/images.ts";
import { podmanTemporaryDirectory } from "../podman/open.ts";
import { takePipes } from "../process/pipes.ts";
import { type StageContext, throwIfStopped } from "./context.ts";
import { archivesDirectory, pipesDirectory } from "./job-files.ts";
import type { PreparedImage } from "./prepared.ts";
import type { JobState } from "./state.ts";

/** What bringing an image has in hand. */
export interface Surroundings {
  readonly context: StageContext;
  readonly state: JobState;
  /** By which cleanup finds a container of the job. */
  readonly labels: readonly string[];
  readonly log: JobLog;
  /** Whether GitLab folds up parts of the job log. */
  readonly foldable: boolean;
}

/** The credentials that Podman is given for registries. */
export interface RegistryCredentials {
  /** Path of the file. */
  readonly path: string;
  readonly sources: CredentialSources;
}

/** An image that is there, and what the later stages have to know of it. */
export interface BroughtImage {
  readonly image: StoredImage;
  readonly prepared: PreparedImage;
}

/**
 * Brings an image as its policies ask, says in the job log what it was, and tries whether it has a shell. While Podman brings it, its
 * own words stand in a part of the log that GitLab folds up, and now and then a line that it still goes on.
 * Throws what {@link provideImage} throws, and `image_options_invalid` for an image of the job's without a shell.
 */
export async function bringImage(
  plan: ImagePlan,
  podman: PodmanClient,
  auth: RegistryCredentials,
  surroundings: Surroundings,
): Promise<BroughtImage> {
  const { context, log } = surroundings;
  const what = plan.role === "user" ? "image" : "runner image";
  const { measure } = context;
  if (plan.role === "user") measure.note({ mechanism: "podman", image: plan.name });
  const begin = performance.now();
  const { image, origin } = await measure.step("pull", () => provide(plan, what, podman, auth, surroundings));
  const seconds = (performance.now() - begin) / 1000;
  if (plan.role === "user") measure.note(factsOf(image, origin));
  throwIfStopped(context.stop);
  const where = origin === "pulled" ? "pulled" : "found on this machine";
  // An image that was made here has a digest too, but no registry knows it.
  const digest = origin === "pulled" && image.digest !== "" ? `, digest ${image.digest}` : "";
  const bytes = image.bytes === undefined ? "" : `, ${size(image.bytes)}`;
  const took = origin === "pulled" ? `, in ${duration(seconds)}` : "";
  log.say(`The ${what} is ${where}: id ${image.id.slice(0, 12)}${digest}${bytes}${took}`);
  const hasBash = plan.entrypoint !== undefined || (await findBash(plan, image, podman, surroundings));
  if (!hasBash) log.say(`The ${what} has no /bin/bash: its scripts run with /bin/sh`);
  if (plan.role === "user" && image.user !== "" && plan.user === undefined) {
    log.say(
      `The image is made for its user "${printableLine(image.user)}"; in this job it runs as root of the container, which is you outside`,
    );
  }
  return { image, prepared: { id: image.id, hasBash, user: image.user } };
}

async function provide(
  plan: ImagePlan,
  what: string,
  podman: PodmanClient,
  auth: RegistryCredentials,
  { context, state, log, foldable }: Surroundings,
) {
  const { workspace } = state;
  log.say(`Using Podman with ${what} ${plan.name} (pull policy ${plan.pullPolicies.join(", ")})`);
  const fold = foldable ? new Fold(log, `jacamar_${plan.role}_image`, `Podman's words on ${plan.name}`) : undefined;
  // What everybody should see stands outside of what is folded up.
  const say = (line: string) => {
    fold?.end();
    log.say(line);
  };
  const still = new Still((seconds) => {
    const bytes = diskUse(podmanTemporaryDirectory(workspace));
    say(`Still bringing ${plan.name}, for ${duration(seconds)}${bytes === 0 ? "" : `: ${size(bytes)} so far`}`);
  });
  const heard = (chunk: Uint8Array) => {
    still.heard();
    fold?.begin();
    writeWhole(1, chunk);
  };
  const { place } = parseImageName(plan.pullName);
  try {
    return await provideImage(plan, {
      podman,
      authFile: auth.path,
      credentials: place && usedCredentials(auth.sources, place),
      say,
      progress: { stdout: heard, stderr: heard },
      takePipes: () => takePipes(pipesDirectory(workspace)),
      stop: context.stop,
    });
  } finally {
    still.end();
    fold?.end();
  }
}

/** Whether the image has Bash, tried once for all jobs of the user. Throws for an image without any shell. */
async function findBash(
  plan: ImagePlan,
  image: StoredImage,
  podman: PodmanClient,
  { context, state, labels }: Surroundings,
): Promise<boolean> {
  const directory = archivesDirectory(state.workspace);
  const known = recallImage(directory, image.id);
  if (known) return known.hasBash;
  const tryIt = (shell: "/bin/bash" | "/bin/sh") =>
    context.measure.step("trial", () => tryShell(shell, image, podman, labels));
  const hasBash = (await tryIt("/bin/bash")).works;
  if (!hasBash) {
    const sh = await tryIt("/bin/sh");
    if (!sh.works) throw withoutShell(plan, sh.said);
  }
  rememberImage(directory, image.id, { hasBash }, state.jobKey);
  return hasBash;
}

/** What the record tells of the image of a job. */
function factsOf(image: StoredImage, origin: Origin): Facts {
  return {
    imageId: image.id,
    imageCache: origin === "pulled" ? "pulled" : "hit",
    ...(image.digest === "" ? {} : { imageDigest: image.digest }),
    ...(image.bytes === undefined ? {} : { imageBytes: image.bytes }),
  };
}

function withoutShell(plan: ImagePlan, said: string): JacamarError {
  const code = plan.key === undefined ? "image_options_invalid" : "podman_failed";
  const hint =
    plan.key === undefined
      ? "Use an image with a shell."
      : `The administrator has chosen this image (${plan.key} in the configuration). Show these lines to the administrators.`;
  return new JacamarError(code, `The image "${plan.name}" has neither /bin/bash nor /bin/sh to run scripts: ${said}`, {
    hint,
  });
}
