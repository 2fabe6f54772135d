import { existsSync } from "node:fs";
import { constants } from "node:os";
import { JacamarError } from "../error/error.ts";
import type { Outcome } from "../executor/outcome.ts";
import { runBash, runContainer, type RunTools } from "../executor/shell.ts";
import type { Job } from "../gitlab/job.ts";
import { type Stage, toStage } from "../gitlab/stage.ts";
import type { JobLog } from "../log/job-log.ts";
import { summaryOf } from "../measure/summary.ts";
import { hideTokens } from "../mechanism/hidden-token.ts";
import { runArguments } from "../mechanism/podman/command.ts";
import { imageOfStage, type ImagePlan, planImages } from "../mechanism/podman/image-plan.ts";
import { openPodman } from "../podman/open.ts";
import { removeContainers } from "../podman/containers.ts";
import { endJobProcesses } from "../process/job-processes.ts";
import { takePipes } from "../process/pipes.ts";
import { makeDirectory } from "../workspace/directories.ts";
import { remove, tracesOf, writeNew } from "../workspace/script-files.ts";
import type { Workspace } from "../workspace/layout.ts";
import { type StageContext, throwIfStopped } from "./context.ts";
import {
  containerSpec,
  entrypointFailed,
  explained,
  isEntrypointOfJob,
  noteLabelled,
  requirePrepared,
  writeContainerFiles,
} from "./container-spec.ts";
import { hostCommand } from "./host-command.ts";
import { jobMarks } from "./job-marks.ts";
import { directoryRules, isBatch, pipesDirectory } from "./job-files.ts";
import { noteSession } from "./sessions.ts";
import { readPrepared } from "./prepared.ts";
import { type ExitCodeSink, requireJob, requireScript, sayExitCode } from "./runner-files.ts";
import { type JobState, requireState } from "./state.ts";

/**
 * A run stage: runs one script that the runner generated, on the host or in a container.
 *
 * Throws `script_failed` when the script failed, after its exit code was left for the runner; `script_lost` when nobody
 * knows how it ended; `interrupted` when the runner ended the stage.
 */
export async function runScript(context: StageContext, stageName: string, log: JobLog): Promise<void> {
  const { exitCode } = context.files;
  try {
    const outcome = await runStage(context, stageName);
    if (outcome.kind === "failed") context.measure.note({ exitCode: outcome.exitCode });
    if (outcome.kind === "passed") context.measure.note({ exitCode: 0 });
    if (toStage(stageName).isStep) saySummary(outcome, context, log);
    report(outcome, stageName, exitCode, log);
  } catch (error) {
    // With an empty file the runner would take the job's own failure for one of the system's.
    if (error instanceof JacamarError && error.blame === "job" && error.code !== "script_failed") exitCode.write(1);
    throw error;
  }
}

/** The last line of a script that has ended by itself: what it took. */
function saySummary({ kind }: Outcome, { measure }: StageContext, log: JobLog): void {
  const summary = kind === "passed" || kind === "failed" ? summaryOf(measure) : undefined;
  if (summary !== undefined) log.sayAfterScript(summary);
}

async function runStage(context: StageContext, stageName: string): Promise<Outcome> {
  const state = requireState(context.environment);
  const job = requireJob(context.files);
  const stage = toStage(stageName);
  const { workspace, config } = state;
  const given = requireScript(context.files);
  const content = stage.owner === "runner" && !config.general.unrestricted_cmd_line ? hideTokens(given) : given;
  const rules = directoryRules(config, context.account);
  makeDirectory(workspace.base, workspace.scriptsDir, rules);
  makeDirectory(workspace.base, pipesDirectory(workspace), rules);
  throwIfStopped(context.stop);
  if (existsSync(runningFile(workspace))) await endEarlierStage(context, state, job);
  writeNew(runningFile(workspace), "", 0o600);

  const image = imageOfStage(planImages(job, config, undefined), stage);
  const script = `${workspace.scriptsDir}/${stage.fileName}.bash`;
  for (const trace of tracesOf(script)) remove(trace);
  const tools: RunTools = {
    script,
    pipes: await takePipes(pipesDirectory(workspace)),
    stop: context.stop,
    killTimeoutSeconds: config.general.kill_timeout,
    onStarted: (pid) => noteSession(workspace, pid),
    measure: context.measure,
  };
  const outcome = await runIt({ context, state, job, stage, image, content, tools });
  remove(runningFile(workspace));
  return outcome;
}

async function runIt(run: Omit<ContainerRun, "image"> & { image: ImagePlan | undefined }): Promise<Outcome> {
  const { state, stage, image } = run;
  if (stage.isStep && isBatch(state.config)) {
    const { runOnScheduler } = await import("./batch-stage.ts");
    return runOnScheduler({ ...run, script: run.tools.script });
  }
  return image ? runInContainer({ ...run, image }) : runOnHost(run);
}

/** Is there while a stage runs. Found at the beginning of one, it tells that the driver of the one before was killed. */
function runningFile(workspace: Workspace): string {
  return `${workspace.privateDir}/running`;
}

/** What a killed driver left running would run on beside this stage, which may be the after_script. */
async function endEarlierStage(context: StageContext, state: JobState, job: Job): Promise<void> {
  const { workspace, config } = state;
  if (isBatch(config)) {
    const { endBatchJobs } = await import("./batch-cleanup.ts");
    await endBatchJobs(context, state, job);
  }
  const prepared = readPrepared(workspace);
  if (prepared?.userImage || prepared?.runnerImage) {
    const podman = openPodman(config, workspace, prepared.environment, prepared.runtimeDirectory);
    await removeContainers(podman, state.jobKey, config.general.podman.disable_container_removal);
  }
  await endJobProcesses(jobMarks(context, state, job), 1);
}

/** What a stage that runs a script has in hand. */
interface HostRun {
  readonly context: StageContext;
  readonly state: JobState;
  readonly job: Job;
  readonly content: Uint8Array;
  readonly tools: RunTools;
}

function runOnHost({ context, state, job, content, tools }: HostRun): Promise<Outcome> {
  context.measure.note({ mechanism: "bash" });
  const command = hostCommand(state, context, tools.script);
  writeNew(tools.script, content, 0o700);
  return runBash(command, jobMarks(context, state, job), tools);
}

interface ContainerRun extends HostRun {
  readonly stage: Stage;
  readonly image: ImagePlan;
}

async function runInContainer(run: ContainerRun): Promise<Outcome> {
  const { state, image, tools } = run;
  const { config, workspace } = state;
  const { podman } = config.general;
  const prepared = requirePrepared(readPrepared(workspace), image);
  run.context.measure.note({ mechanism: "podman", image: image.name, imageId: prepared.image.id });
  const archive = isBatch(config) ? undefined : prepared.image.archive;
  const source = archive === undefined ? { id: prepared.image.id } : { archive };
  const spec = containerSpec({ ...run, script: tools.script }, prepared.image, source);
  writeContainerFiles(run, spec);
  // An archive may be named by its bare name.
  const directory = archive === undefined ? workspace.base : workspace.privateDir;
  const outcome = await runContainer(runArguments(spec), {
    ...tools,
    podman: openPodman(config, workspace, prepared.environment, prepared.runtimeDirectory, directory),
    key: state.jobKey,
    name: spec.name,
    tty: podman.tty,
    keepEnded: podman.disable_container_removal,
  }).catch((error: unknown) => {
    throw explained(error, image, spec.volumes);
  });
  const relabelled = spec.selinux.level !== undefined && spec.selinux.volumes === "relabel";
  if (relabelled && (outcome.kind === "passed" || outcome.kind === "failed")) noteLabelled(workspace);
  if (outcome.kind === "lost" && isEntrypointOfJob(image, config)) throw entrypointFailed(outcome.exitCode);
  return outcome;
}

/** What a shell says of a program that is there, but that it may not start. */
const cannotExecute = 126;
const withoutAccess =
  "The script could not be started. Either the container's user cannot get at the job's directories (--user among the administrator's options needs --userns=keep-id:uid=…), or these lie on a file system that allows no programs (noexec).";
const withoutStatus =
  "Either the entrypoint of the image does not run the command that it is given, or a start-up file of Bash (~/.bash_profile) calls exit or exec.";

/** Bash says it of what it has started itself; here Bash, too, was ended. */
function sayKilled(signal: number, log: JobLog): void {
  const reason =
    signal === constants.signals.SIGKILL ? " The system does that, for example, when the memory is used up." : "";
  log.sayAfterScript(`The script was ended, with all that was around it, by ${nameOf(signal)}.${reason}`);
}

function nameOf(signal: number): string {
  return Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`;
}

function report(outcome: Outcome, stageName: string, exitCode: ExitCodeSink, log: JobLog): void {
  switch (outcome.kind) {
    case "passed":
      return;
    case "failed":
      if (outcome.signal !== undefined) sayKilled(outcome.signal, log);
      if (!exitCode.write(outcome.exitCode)) sayExitCode(outcome.exitCode, log);
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
        { hint: outcome.exitCode === cannotExecute ? withoutAccess : withoutStatus },
      );
  }
}
