import { readFileSync, statSync } from "node:fs";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import type { Job } from "../gitlab/job.ts";
import { type JobLog, printableLine } from "../log/job-log.ts";
import { writeWhole } from "../log/output.ts";
import { bashEnvironment, bashProgram } from "../mechanism/bash.ts";
import { containerLabels } from "../mechanism/podman/command.ts";
import { type ImagePlan, type JobImages, planImages } from "../mechanism/podman/image-plan.ts";
import { checkRegistryAuth, joinRegistryAuth } from "../mechanism/podman/registry-auth.ts";
import { invalidVolume } from "../mechanism/podman/volumes.ts";
import { openPodman, podmanTemporaryDirectory } from "../podman/open.ts";
import { makeRuntimeDirectory } from "../podman/surroundings.ts";
import { shellExitCode } from "../process/command.ts";
import { follow } from "../process/follow.ts";
import { killGroup } from "../process/capture.ts";
import { readLoginEnvironment } from "../process/login-environment.ts";
import { fillPipes, takePipes } from "../process/pipes.ts";
import { requireBuildsApart } from "../workspace/builds-apart.ts";
import { isThere, makeDirectory, removeTree } from "../workspace/directories.ts";
import { writeNew } from "../workspace/script-files.ts";
import type { Workspace } from "../workspace/layout.ts";
import { workTrees } from "../workspace/work-trees.ts";
import type { ArchiveStage } from "./archives.ts";
import { allowlistOf } from "./allowlist.ts";
import { type BroughtImage, bringImage, type RegistryCredentials } from "./bring-image.ts";
import { requireContainerCalls } from "./container-calls.ts";
import { cleanBash, shellProfile } from "./clean-bash.ts";
import { type StageContext, throwIfStopped } from "./context.ts";
import {
  archiveFormat,
  archivesDirectory,
  directoryRules,
  isBatch,
  lifeFile,
  loginName,
  pipesDirectory,
  registryAuthFile,
} from "./job-files.ts";
import { type Prepared, writePrepared } from "./prepared.ts";
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

  const images = planImages(job, config, await allowlistOf(config));
  requireContainerCalls(images, state.identity?.callFilter);
  if (images.user) checkVolumeSources(context, state, job);
  await context.measure.step("directories", async () => {
    await makeJobDirectories(context, state, job, images);
    await fillPipes(pipesDirectory(state.workspace));
  });
  throwIfStopped(context.stop);
  if (job.serviceNames.length > 0) {
    const names = printableLine(job.serviceNames.join(", "));
    log.say(`WARNING: services are not supported by this runner, and are not started: ${names}`);
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

async function makeJobDirectories(context: StageContext, state: JobState, job: Job, images: JobImages): Promise<void> {
  const { config, workspace, jobKey, life } = state;
  const rules = directoryRules(config, context.account);
  // Looked at first, so that what is wrong with it is said of it alone.
  makeDirectory(workspace.base, workspace.base, rules);
  // What an earlier attempt at the same job left; nothing of any other job.
  for (const path of [workspace.scriptsDir, workspace.privateDir]) {
    const left = isThere(workspace.base, path, rules) ? removeTree(path) : undefined;
    if (left) throw new JacamarError("directory_failed", `Cannot remove what an earlier attempt left: ${left.message}`);
  }
  await makeBuildsDirectory(workspace, async () => {
    if (!config.general.static_builds_dir) return makeDirectory(workspace.buildsBase, workspace.buildsDir, rules);
    const { claimStaticBuilds } = await import("./static-builds.ts");
    await claimStaticBuilds(context, state, job);
  });
  for (const path of [
    workspace.projectCacheDir,
    workspace.scriptsDir,
    pipesDirectory(workspace),
    podmanTemporaryDirectory(workspace),
    ...(images.user ? [archivesDirectory(workspace)] : []),
  ]) {
    makeDirectory(workspace.base, path, rules);
  }
  requireBuildsApart(workspace);
  // There the runner's scripts will write the CI variables of type file, with the umask of an image in a container.
  if (config.general.group_permissions) {
    for (const tree of workTrees(workspace, context.variables.get("RUNNER_TEMP_PROJECT_DIR"))) {
      makeDirectory(workspace.buildsBase, `${tree}.tmp`, rules, 0o700);
    }
  }
  if (life !== undefined) writeNew(lifeFile(workspace.privateDir), `${jobKey} ${life}\n`, 0o600);
}

/** Throws as {@link makeDirectory}, and `builds_dir_busy`; `builds_dir_invalid` where the job has asked for the directory. */
async function makeBuildsDirectory(workspace: Workspace, make: () => Promise<void>): Promise<void> {
  try {
    await make();
  } catch (error) {
    const asked = workspace.buildsBase !== workspace.base;
    const isAboutIt = error instanceof JacamarError && error.code !== "disk_full" && error.code !== "builds_dir_busy";
    if (!asked || !isAboutIt) throw error;
    throw new JacamarError("builds_dir_invalid", `CUSTOM_CI_BUILDS_DIR cannot be used: ${error.message}`, {
      hint: "Name a directory of your own that nobody else can write to.",
      cause: error,
    });
  }
}

/** Throws `volume_invalid` for a volume whose source is not there; Podman's own message names neither variable nor reason. */
function checkVolumeSources(context: StageContext, state: JobState, job: Job): void {
  for (const { wish, volume } of userVolumes(context, state, job)) {
    const code = lookAt(volume.source);
    if (code === undefined) continue;
    const source = volume.source.length > 200 ? `${volume.source.slice(0, 200)}…` : volume.source;
    const why = code === "ENOENT" || code === "ENOTDIR" ? "does not exist" : `cannot be used (${code})`;
    throw invalidVolume(wish, `its source "${source}" ${why}`);
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
  const auth = images.user ? prepareForContainers(context, job, workspace) : noCredentials;
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

  const labels = containerLabels(state.jobKey, "prepare", state.life);
  const surroundings = { context, state, labels, log, foldable: job.traceSections };
  const bring = async (plan: ImagePlan): Promise<BroughtImage> => {
    const brought = await bringImage(plan, podman, auth, surroundings);
    throwIfStopped(context.stop);
    return brought;
  };
  const userImage = images.user && (await bring(images.user));
  const runnerImage = images.runner && (await bring(images.runner));
  const archive = userImage && (await archiveOf(userImage, { context, state, podman, log }));
  const prepared: Prepared = {
    environment: { ...login },
    runtimeDirectory,
    ...(userImage ? { userImage: { ...userImage.prepared, ...(archive === undefined ? {} : { archive }) } } : {}),
    ...(runnerImage ? { runnerImage: runnerImage.prepared } : {}),
  };
  writePrepared(workspace, prepared);
}

/** Of a job without containers. */
const noCredentials: RegistryCredentials = { path: "", sources: { variable: "DOCKER_AUTH_CONFIG", of: new Map() } };

/** Throws `directory_unsafe` or `registry_auth_invalid`. Returns the credentials. */
function prepareForContainers(context: StageContext, job: Job, workspace: Workspace): RegistryCredentials {
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

/** Writes the credentials that Podman is given. Throws `registry_auth_invalid`. */
function writeAuthFile(context: StageContext, job: Job, workspace: Workspace): RegistryCredentials {
  const { path, content } = registryAuthFile(context.variables, job, workspace);
  const name = "REGISTRY_AUTH_FILE";
  if (content === undefined) return { path, sources: checkRegistryAuth({ name, text: readAuthFile(path) }) };
  if (content.kind === "given") {
    const sources = checkRegistryAuth({ name, text: content.text });
    writeNew(path, content.text, 0o600);
    return { path, sources };
  }
  const { auth, sources } = joinRegistryAuth(job, context.variables.get("DOCKER_AUTH_CONFIG"));
  writeNew(path, JSON.stringify(auth), 0o600);
  return { path, sources };
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

async function archiveOf({ image }: BroughtImage, stage: ArchiveStage): Promise<string | undefined> {
  const format = archiveFormat(stage.state.config);
  if (format === "none") return undefined;
  const { archiveUserImage } = await import("./archives.ts");
  return archiveUserImage(image, format, stage);
}
