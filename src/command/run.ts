import { existsSync } from "node:fs";
import { JacamarError } from "../error/error.ts";
import type { Outcome } from "../executor/outcome.ts";
import { runBash, runContainer, type RunTools } from "../executor/shell.ts";
import type { Job } from "../gitlab/job.ts";
import { type Stage, toStage } from "../gitlab/stage.ts";
import { bashScript } from "../mechanism/bash.ts";
import { containerLabels, containerName, runArguments } from "../mechanism/podman/command.ts";
import {
  bashEntrypoint,
  imageOfStage,
  type ImagePlan,
  planImages,
  shEntrypoint,
} from "../mechanism/podman/image-plan.ts";
import { containerWrapper, generatedScriptOf } from "../mechanism/podman/wrapper.ts";
import { openPodman } from "../podman/open.ts";
import { selinuxLabels } from "../podman/selinux.ts";
import { removeContainers } from "../podman/containers.ts";
import { endJobProcesses } from "../process/job-processes.ts";
import { takePipes } from "../process/pipes.ts";
import { makeDirectory } from "../workspace/directories.ts";
import { isOwnFile, remove, statusFileOf, writeNew } from "../workspace/script-files.ts";
import type { Workspace } from "../workspace/layout.ts";
import { type StageContext, throwIfStopped } from "./context.ts";
import { jobMarks } from "./job-marks.ts";
import { directoryRules, pipesDirectory, registryAuthFile } from "./job-files.ts";
import { noteSession } from "./sessions.ts";
import { type Prepared, readPrepared } from "./prepared.ts";
import { type ExitCodeSink, requireJob, requireScript } from "./runner-files.ts";
import { cleanBash, shellProfile } from "./clean-bash.ts";
import { type JobState, requireState } from "./state.ts";
import { userVolumes } from "./user-volumes.ts";

/**
 * A run stage: runs one script that the runner generated, on the host or in a container.
 *
 * Throws `script_failed` when the script failed, after its exit code was left for the runner; `script_lost` when nobody
 * knows how it ended; `interrupted` when the runner ended the stage.
 */
export async function runScript(context: StageContext, stageName: string): Promise<void> {
  const { exitCode } = context.files;
  try {
    report(await runStage(context, stageName), stageName, exitCode);
  } catch (error) {
    // With an empty file the runner would take the job's own failure for one of the system's.
    if (error instanceof JacamarError && error.blame === "job" && error.code !== "script_failed") exitCode.write(1);
    throw error;
  }
}

async function runStage(context: StageContext, stageName: string): Promise<Outcome> {
  const state = requireState(context.environment);
  const job = requireJob(context.files);
  const stage = toStage(stageName);
  const content = requireScript(context.files);
  const { workspace, config } = state;
  const rules = directoryRules(config, context.account);
  makeDirectory(workspace.base, workspace.scriptsDir, rules);
  makeDirectory(workspace.base, pipesDirectory(workspace), rules);
  throwIfStopped(context.stop);
  if (existsSync(runningFile(workspace))) await endEarlierStage(context, state, job);
  writeNew(runningFile(workspace), "", 0o600);

  const image = imageOfStage(planImages(job, config, undefined), stage);
  const script = `${workspace.scriptsDir}/${stage.fileName}.bash`;
  remove(statusFileOf(script));
  const tools: RunTools = {
    script,
    pipes: await takePipes(pipesDirectory(workspace)),
    stop: context.stop,
    killTimeoutSeconds: config.general.kill_timeout,
    onStarted: (pid) => noteSession(workspace, pid),
  };
  const outcome = image
    ? await runInContainer({ context, state, job, stage, image, content, tools })
    : await runOnHost({ context, state, job, content, tools });
  remove(runningFile(workspace));
  return outcome;
}

/** Is there while a stage runs. Found at the beginning of one, it tells that the driver of the one before was killed. */
function runningFile(workspace: Workspace): string {
  return `${workspace.privateDir}/running`;
}

/** What a killed driver left running would run on beside this stage, which may be the after_script. */
async function endEarlierStage(context: StageContext, state: JobState, job: Job): Promise<void> {
  const { workspace, config } = state;
  const prepared = readPrepared(workspace);
  if (prepared?.userImage || prepared?.runnerImage) {
    const podman = openPodman(config, workspace, prepared.environment, prepared.runtimeDirectory);
    await removeContainers(podman, state.jobKey, config.general.podman.disable_container_removal);
  }
  await endJobProcesses(jobMarks(context, state, job), 1);
}

interface HostRun {
  readonly context: StageContext;
  readonly state: JobState;
  readonly job: Job;
  readonly content: Uint8Array;
  readonly tools: RunTools;
}

function runOnHost({ context, state, job, content, tools }: HostRun): Promise<Outcome> {
  const { account } = context;
  const { shellPath, beginning } = cleanBash(state, account);
  writeNew(tools.script, content, 0o700);
  return runBash(
    {
      argv: withoutNewPrivs(state, bashScript(shellPath, shellProfile(context.variables), tools.script)),
      environment: beginning,
      workingDirectory: state.workspace.base,
    },
    jobMarks(context, state, job),
    tools,
  );
}

/** `no_new_privs`: nothing that the script runs gains rights from its file. The configuration allows it only without Podman. */
function withoutNewPrivs(state: JobState, argv: [string, ...string[]]): [string, ...string[]] {
  return state.identity?.noNewPrivs === true ? ["setpriv", "--no-new-privs", "--", ...argv] : argv;
}

/**
 * The runner's helper unpacks artifacts and caches as root of the container and gives the files to the users that the archive names,
 * where it can. Outside those are subordinate ids, whose files no later stage on the host could remove.
 */
const withoutChown = ["--cap-drop=CHOWN"];

interface ContainerRun extends HostRun {
  readonly stage: Stage;
  readonly image: ImagePlan;
}

async function runInContainer({ context, state, job, stage, image, content, tools }: ContainerRun): Promise<Outcome> {
  const { config, workspace } = state;
  const { podman } = config.general;
  const prepared = requirePrepared(readPrepared(workspace), image);
  const key = state.jobKey;
  const labelled = `${workspace.privateDir}/selinux-labelled`;
  const authFile = registryAuthFile(context.variables, job, workspace);
  const spec = {
    name: containerName(key, stage.fileName, Date.now().toString(36)),
    labels: containerLabels(key, stage.fileName),
    workspace,
    authFile: authFile.path,
    entrypoint: image.entrypoint ?? (prepared.image.hasBash ? bashEntrypoint : shEntrypoint),
    removeAfterwards: !podman.disable_container_removal,
    tty: podman.tty,
    selinux: selinuxLabels(podman.selinux_labels, existsSync("/sys/fs/selinux/enforce"), existsSync(labelled), key),
    user: image.user,
    asContainerRoot: prepared.image.user !== "" && !choosesUser(image.options),
    platform: image.platform,
    options: image.role === "runner" ? [...withoutChown, ...image.options] : image.options,
    volumes: image.role === "user" ? userVolumes(context, state).map(({ volume }) => volume) : [],
    image: prepared.image.archive === undefined ? { id: prepared.image.id } : { archive: prepared.image.archive },
    script: tools.script,
  };
  writeNew(tools.script, containerWrapper, 0o700);
  writeNew(generatedScriptOf(tools.script), content, 0o700);
  // Podman wants it to be there, though it has all images by now. A container of the job may have taken it away.
  if (authFile.content !== undefined && !isOwnFile(authFile.path, context.account.uid)) {
    writeNew(authFile.path, '{"auths":{}}', 0o600);
  }
  // An archive may be named by its bare name.
  const directory = prepared.image.archive === undefined ? workspace.base : workspace.privateDir;
  const outcome = await runContainer(runArguments(spec), {
    ...tools,
    podman: openPodman(config, workspace, prepared.environment, prepared.runtimeDirectory, directory),
    key,
    name: spec.name,
    tty: podman.tty,
    keepEnded: podman.disable_container_removal,
  });
  const relabelled = spec.selinux.level !== undefined && spec.selinux.volumes === "relabel";
  if (relabelled && (outcome.kind === "passed" || outcome.kind === "failed")) writeNew(labelled, "", 0o600);
  const chosenByJob = image.role === "user" && podman.user_entry_point === undefined && image.entrypoint !== undefined;
  if (outcome.kind === "lost" && chosenByJob) {
    throw new JacamarError(
      "entrypoint_failed",
      `The entrypoint of the job's image ended (exit code ${outcome.exitCode}) without running the script`,
      {
        hint: 'An entrypoint must run the command that it is given, as exec "$@" does. Leave image:entrypoint out to use a shell.',
      },
    );
  }
  return outcome;
}

/** Whether the administrator's options already say who the container's user is. */
function choosesUser(options: readonly string[]): boolean {
  return options.some((option) => /^(?:--user(?:ns)?(?:=|$)|-u)/.test(option));
}

function requirePrepared(prepared: Prepared | undefined, plan: ImagePlan) {
  const image = plan.role === "user" ? prepared?.userImage : prepared?.runnerImage;
  if (prepared && image) return { ...prepared, image };
  throw new JacamarError("state_missing", "This stage ran without a prepare stage before it", {
    hint: "Check that prepare_exec and prepare_args in the runner's config.toml call this program: prepare.",
  });
}

function report(outcome: Outcome, stageName: string, exitCode: ExitCodeSink): void {
  switch (outcome.kind) {
    case "passed":
      return;
    case "failed":
      exitCode.write(outcome.exitCode);
      throw new JacamarError("script_failed", `The script ended with exit code ${outcome.exitCode}`);
    case "stopped":
      throw new JacamarError(
        "interrupted",
        "The script was stopped by GitLab Runner (cancelled or timed out), and its processes have been ended",
      );
    case "unwritten":
      throw new JacamarError(
        "disk_full",
        `Cannot write the exit status of the stage ${stageName}: the file system is full`,
        {
          hint: "The script itself may have filled it, or your quota is used up. Make room, then retry the job.",
        },
      );
    case "lost":
      throw new JacamarError(
        "script_lost",
        `The stage ${stageName} ended (exit code ${outcome.exitCode}) without its script's exit status`,
        {
          hint: "Either the entrypoint of the image does not run the command that it is given, or a start-up file of Bash (~/.bash_profile) calls exit or exec.",
        },
      );
  }
}
