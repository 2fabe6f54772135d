import { readFileSync, statSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import type { JobLog } from "../log/job-log.ts";
import { writeWhole } from "../log/output.ts";
import type { Facts } from "../measure/measurements.ts";
import { duration, size } from "../measure/summary.ts";
import { bashEnvironment, bashProgram } from "../mechanism/bash.ts";
import { containerLabels } from "../mechanism/podman/command.ts";
import { type Allowed, type ImagePlan, type JobImages, planImages } from "../mechanism/podman/image-plan.ts";
import { checkRegistryAuth, joinRegistryAuth } from "../mechanism/podman/registry-auth.ts";
import { invalidVolume } from "../mechanism/podman/volumes.ts";
import { type ArchiveFormat, archiveImage } from "../podman/archive.ts";
import type { PodmanClient } from "../podman/client.ts";
import { type Origin, provideImage, type StoredImage, tryShell } from "../podman/images.ts";
import { openPodman, podmanTemporaryDirectory } from "../podman/open.ts";
import { makeRuntimeDirectory } from "../podman/surroundings.ts";
import { shellExitCode } from "../process/command.ts";
import { follow } from "../process/follow.ts";
import { killGroup } from "../process/capture.ts";
import { readLoginEnvironment } from "../process/login-environment.ts";
import { fillPipes, takePipes } from "../process/pipes.ts";
import { type DirectoryRules, isThere, makeDirectory, removeTree } from "../workspace/directories.ts";
import { writeNew } from "../workspace/script-files.ts";
import type { Workspace } from "../workspace/layout.ts";
import { cleanBash, shellProfile } from "./clean-bash.ts";
import { type StageContext, throwIfStopped } from "./context.ts";
import { directoryRules, isBatch, loginName, pipesDirectory, registryAuthFile } from "./job-files.ts";
import { type Prepared, type PreparedImage, writePrepared } from "./prepared.ts";
import { requireJob } from "./runner-files.ts";
import { userVolumes } from "./user-volumes.ts";
import { type JobState, requireState } from "./state.ts";
import { constants as systemConstants } from "node:os";

/**
 * The prepare stage: makes the job's directories, and when the job runs in a container checks all that it asks for, runs
 * the administrator's `prep_script`, brings the images and archives them. The runner calls it up to three times.
 */
export async function runPrepare(context: StageContext, log: JobLog): Promise<void> {
  const state = requireState(context.environment);
  const job = requireJob(context.files);
  const { config } = state;
  if (config.general.job_message !== undefined) log.say(config.general.job_message);

  const images = planImages(job, config, await allowlist(config));
  if (images.user) checkVolumeSources(context, state);
  await context.measure.step("directories", () => {
    makeJobDirectories(context, state);
    return fillPipes(pipesDirectory(state.workspace));
  });
  throwIfStopped(context.stop);
  if (job.serviceNames.length > 0) {
    log.say(`WARNING: services are not supported by this runner, and are not started: ${job.serviceNames.join(", ")}`);
  }
  if (!images.user && !isBatch(config)) return;
  try {
    await prepareRuns({ context, state, job, images, log });
  } catch (error) {
    // What was ended with the stage did not fail.
    throwIfStopped(context.stop);
    throw error;
  }
}

/** The administrator's list, compiled only when there is one: its engine takes time to load. */
async function allowlist(config: Config): Promise<Allowed | undefined> {
  const sources = config.general.podman.image_allowlist;
  if (sources === undefined || config.general.run_mechanism !== "podman") return undefined;
  const { compilePattern, matchesAny } = await import("../config/patterns.ts");
  const patterns = sources.map((source) => compilePattern(source));
  return (spellings) => matchesAny(patterns, spellings);
}

function makeJobDirectories({ account }: StageContext, { config, workspace }: JobState): void {
  const rules = directoryRules(config, account);
  // Looked at first, so that what is wrong with it is said of it alone.
  makeDirectory(workspace.base, workspace.base, rules);
  // What an earlier attempt at the same job left; nothing of any other job.
  for (const path of [workspace.scriptsDir, workspace.privateDir]) {
    const left = isThere(workspace.base, path, rules) ? removeTree(path) : undefined;
    if (left) throw new JacamarError("directory_failed", `Cannot remove what an earlier attempt left: ${left.message}`);
  }
  makeBuildsDirectory(workspace, rules);
  for (const path of [
    workspace.projectCacheDir,
    workspace.scriptsDir,
    pipesDirectory(workspace),
    podmanTemporaryDirectory(workspace),
  ]) {
    makeDirectory(workspace.base, path, rules);
  }
}

/** Throws as {@link makeDirectory}; `builds_dir_invalid` where the job has asked for the directory. */
function makeBuildsDirectory(workspace: Workspace, rules: DirectoryRules): void {
  try {
    makeDirectory(workspace.buildsBase, workspace.buildsDir, rules);
  } catch (error) {
    const asked = workspace.buildsBase !== workspace.base;
    if (!asked || !(error instanceof JacamarError) || error.code === "disk_full") throw error;
    throw new JacamarError("builds_dir_invalid", `CUSTOM_CI_BUILDS_DIR cannot be used: ${error.message}`, {
      hint: "Name a directory of your own that nobody else can write to.",
      cause: error,
    });
  }
}

/** Throws `volume_invalid` for a volume whose source is not there; Podman's own message names neither variable nor reason. */
function checkVolumeSources(context: StageContext, state: JobState): void {
  for (const { name, volume } of userVolumes(context, state)) {
    const code = lookAt(volume.source);
    if (code === undefined) continue;
    const source = volume.source.length > 200 ? `${volume.source.slice(0, 200)}…` : volume.source;
    const why = code === "ENOENT" || code === "ENOTDIR" ? "does not exist" : `cannot be used (${code})`;
    throw invalidVolume(name, `its source "${source}" ${why}`);
  }
}

/** What hinders that something is looked at; undefined when nothing does. */
function lookAt(path: string): string | undefined {
  try {
    statSync(path);
    return undefined;
  } catch (error) {
    return systemErrorCode(error) ?? "unknown error";
  }
}

interface Preparation {
  readonly context: StageContext;
  readonly state: JobState;
  readonly job: Job;
  readonly images: JobImages;
  readonly log: JobLog;
}

/** What the stages need that do not run in Bash here: the login's environment, and images. */
async function prepareRuns({ context, state, job, images, log }: Preparation): Promise<void> {
  const { config, workspace } = state;
  const { measure } = context;
  const { shellPath, beginning } = cleanBash(state, context.account);
  const profile = shellProfile(context.variables);
  const authFile = images.user ? prepareForContainers(context, job, workspace) : "";
  const bash = (argv: readonly [string, ...string[]]) => ({
    argv,
    environment: beginning,
    workingDirectory: workspace.base,
  });
  const { prep_script: prepScript } = config.general.podman;
  if (prepScript !== undefined && images.user) {
    const program = bashProgram(shellPath, profile, prepScript, `${workspace.privateDir}/prep_script`);
    await measure.step("prep_script", () => runPrepScript(bash(program), prepScript, context, workspace));
  }
  const login = await measure.step("login", () =>
    readLoginEnvironment(bash(bashEnvironment(shellPath, profile, loginName(workspace))), context.stop),
  );
  const runtimeDirectory = makeRuntimeDirectory(context.account, workspace.base);
  const podman = openPodman(config, workspace, login, runtimeDirectory);
  throwIfStopped(context.stop);

  const surroundings = { context, workspace, labels: containerLabels(state.jobKey, "prepare"), log };
  const bring = async (plan: ImagePlan): Promise<PreparedImage> => {
    const prepared = await prepareImage(plan, podman, authFile, surroundings);
    throwIfStopped(context.stop);
    return prepared;
  };
  const userImage = images.user && (await bring(images.user));
  const runnerImage = images.runner && (await bring(images.runner));
  const archive =
    userImage && (await archiveUserImage(userImage, archiveFormat(config), podman, { context, state, log }));
  const prepared: Prepared = {
    environment: { ...login },
    runtimeDirectory,
    ...(userImage ? { userImage: { ...userImage, ...(archive === undefined ? {} : { archive }) } } : {}),
    ...(runnerImage ? { runnerImage } : {}),
  };
  writePrepared(workspace, prepared);
}

/** Throws `directory_unsafe` or `registry_auth_invalid`. Returns the path of the credentials. */
function prepareForContainers(context: StageContext, job: Job, workspace: Workspace): string {
  checkForVolumes(workspace);
  return writeAuthFile(context, job, workspace);
}

/** A volume's paths are separated by colons, so a directory with one cannot be a volume. */
function checkForVolumes(workspace: Workspace): void {
  for (const path of [workspace.buildsDir, workspace.projectCacheDir, workspace.scriptsDir]) {
    if (path.includes(":")) {
      throw new JacamarError(
        "directory_unsafe",
        `The directory "${path}" has a colon in its name, so no container can see it`,
        {
          hint: "Choose another data_dir.",
        },
      );
    }
  }
}

/** Writes the credentials that Podman is given, and returns the file's path. Throws `registry_auth_invalid`. */
function writeAuthFile(context: StageContext, job: Job, workspace: Workspace): string {
  const { path, content } = registryAuthFile(context.variables, job, workspace);
  if (content === undefined) {
    checkRegistryAuth({ name: "REGISTRY_AUTH_FILE", text: readAuthFile(path) });
    return path;
  }
  if (content.kind === "given") checkRegistryAuth({ name: "REGISTRY_AUTH_FILE", text: content.text });
  const text =
    content.kind === "given"
      ? content.text
      : JSON.stringify(joinRegistryAuth(job, context.variables.get("DOCKER_AUTH_CONFIG")));
  writeNew(path, text, 0o600);
  return path;
}

function readAuthFile(path: string): string {
  try {
    if (statSync(path).isFile()) return readFileSync(path, "utf8");
  } catch {
    // Said below, like what is no file.
  }
  throw new JacamarError("registry_auth_invalid", `The file "${path}" that REGISTRY_AUTH_FILE names cannot be read`, {
    hint: "Use a CI variable of type file, or give the path of a file that is there before the job.",
  });
}

interface Surroundings {
  readonly context: StageContext;
  readonly workspace: Workspace;
  /** By which cleanup finds a container of the job. */
  readonly labels: readonly string[];
  readonly log: JobLog;
}

const jobLogSinks = {
  stdout: (chunk: Uint8Array) => void writeWhole(1, chunk),
  stderr: (chunk: Uint8Array) => void writeWhole(1, chunk),
};

async function runPrepScript(
  command: Parameters<typeof follow>[0],
  name: string,
  context: StageContext,
  workspace: Workspace,
): Promise<void> {
  const script = await follow(command, await takePipes(pipesDirectory(workspace)), jobLogSinks);
  const kill = () => killGroup(script.pid, "SIGKILL");
  context.stop.addEventListener("abort", kill, { once: true });
  if (context.stop.aborted) kill();
  const ending = await script.ended;
  context.stop.removeEventListener("abort", kill);
  throwIfStopped(context.stop);
  const code = shellExitCode(ending, systemConstants.signals);
  if (code === 0) return;
  throw new JacamarError(
    "prep_script_failed",
    `The administrator's prep_script "${name}" ended with exit code ${code}`,
    {
      hint: "Its output stands above. Show it to the administrators.",
    },
  );
}

async function prepareImage(
  plan: ImagePlan,
  podman: PodmanClient,
  authFile: string,
  { context, workspace, labels, log }: Surroundings,
): Promise<PreparedImage> {
  const what = plan.role === "user" ? "image" : "runner image";
  log.say(`Using Podman with ${what} ${plan.name} (pull policy ${plan.pullPolicies.join(", ")})`);
  const { measure } = context;
  if (plan.role === "user") measure.note({ mechanism: "podman", image: plan.name });
  const begin = performance.now();
  const { image, origin } = await measure.step("pull", () =>
    provideImage(plan, {
      podman,
      authFile,
      say: (line) => log.say(line),
      progress: jobLogSinks,
      takePipes: () => takePipes(pipesDirectory(workspace)),
      stop: context.stop,
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  if (plan.role === "user") measure.note(factsOf(image, origin));
  throwIfStopped(context.stop);
  const where = origin === "pulled" ? "pulled" : "found on this machine";
  // An image that was made here has a digest too, but no registry knows it.
  const digest = origin === "pulled" && image.digest !== "" ? `, digest ${image.digest}` : "";
  const bytes = image.bytes === undefined ? "" : `, ${size(image.bytes)}`;
  const took = origin === "pulled" ? `, in ${duration(seconds)}` : "";
  log.say(`The ${what} is ${where}: id ${image.id.slice(0, 12)}${digest}${bytes}${took}`);
  const tryIt = (shell: "/bin/bash" | "/bin/sh") => measure.step("trial", () => tryShell(shell, image, podman, labels));
  const bash = plan.entrypoint !== undefined || (await tryIt("/bin/bash")).works;
  if (!bash) {
    const sh = await tryIt("/bin/sh");
    if (!sh.works) throw withoutShell(plan, sh.said);
    log.say(`The ${what} has no /bin/bash: its scripts run with /bin/sh`);
  }
  if (plan.role === "user" && image.user !== "" && plan.user === undefined) {
    log.say(
      `The image is made for its user "${image.user}"; in this job it runs as root of the container, which is you outside`,
    );
  }
  return { id: image.id, hasBash: bash, user: image.user };
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
  const code = plan.role === "user" ? "image_options_invalid" : "podman_failed";
  return new JacamarError(code, `The image "${plan.name}" has neither /bin/bash nor /bin/sh to run scripts: ${said}`, {
    hint: "Use an image with a shell.",
  });
}

/** Unset, the best for the deployment: on the runner's own node the store is at hand; other nodes may see no registry. */
function archiveFormat(config: Config): ArchiveFormat | "none" {
  return config.general.podman.archive_format ?? (isBatch(config) ? "docker-archive" : "none");
}

async function archiveUserImage(
  image: PreparedImage,
  format: ArchiveFormat | "none",
  podman: PodmanClient,
  { context, state, log }: Pick<Preparation, "context" | "state" | "log">,
): Promise<string | undefined> {
  if (format === "none") return undefined;
  const place = { directory: state.workspace.privateDir, name: `image-${state.jobKey}` };
  const archive = await context.measure.step("archive", () =>
    archiveImage(image.id, format, place, podman, context.stop),
  );
  throwIfStopped(context.stop);
  log.say(`The image is archived as ${archive}`);
  return archive;
}
