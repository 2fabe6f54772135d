import { JacamarError } from "../error/error.ts";
import { type AllocationRequest, allocationRequest } from "../executor/batch/allocation-request.ts";
import { type JobFileSpec, type JobFiles, jobFile } from "../executor/batch/job-file.ts";
import { userArguments } from "../executor/batch/own-arguments.ts";
import type { Submission } from "../executor/batch/scheduler.ts";
import type { Job } from "../gitlab/job.ts";
import type { Stage } from "../gitlab/stage.ts";
import { type ContainerSpec, runCommand } from "../mechanism/podman/command.ts";
import { choosesGpus, gpuGrant } from "../mechanism/podman/gpu-grant.ts";
import type { ImagePlan } from "../mechanism/podman/image-plan.ts";
import { schedulerVariables } from "../mechanism/podman/scheduler-variables.ts";
import { memoryFileOf, statusFileOf } from "../workspace/script-files.ts";
import { batchName, ownIdEnding, schedulerOf, wantedEnding } from "./batch.ts";
import { cleanBash, shellProfile } from "./clean-bash.ts";
import { containerSpec } from "./container-spec.ts";
import type { StageContext } from "./context.ts";
import type { PreparedImage } from "./prepared.ts";
import type { JobState } from "./state.ts";

/** A user's step that is to run as a job of the scheduler. */
export interface BatchStage {
  readonly context: Pick<StageContext, "account" | "variables">;
  readonly state: JobState;
  readonly job: Job;
  readonly stage: Stage;
  /** Undefined for the host. */
  readonly image: ImagePlan | undefined;
  /** The script that GitLab Runner generated, as it will lie in the scripts directory. */
  readonly script: string;
}

/** All that is decided of a batch job before anything is done. */
export interface BatchPlan {
  readonly files: JobFiles;
  /** Text of the job file. */
  readonly text: string;
  readonly submission: Submission;
  /** Undefined for an ordinary job. */
  readonly request: AllocationRequest | undefined;
  /** Undefined for the host. */
  readonly container: ContainerSpec | undefined;
}

/**
 * Decides all of a step's batch job. Throws `batch_arguments_invalid`, `registry_auth_invalid` or `volume_invalid`.
 *
 * @param image what prepare found out of the stage's image.
 */
export function planBatch(run: BatchStage, image: PreparedImage | undefined): BatchPlan {
  const files = batchFiles(run);
  const name = batchName(run.state.jobKey);
  const submission = { name, jobFile: files.jobFile, logFile: files.log, userArguments: argumentsOf(run) };
  const request = requestOf(run);
  if (!run.image || !image) {
    return {
      files,
      submission,
      request,
      container: undefined,
      text: jobFile({ ...common(run, files), container: undefined, memory: memoryOf(run, request) }),
    };
  }
  const container = containerSpec({ ...run, image: run.image }, image, sourceOf(run.image, image));
  return { files, submission, request, container, text: containerJob(run, container, image, files) };
}

/** Without an archive the node pulls by itself; it may have a store of its own. */
function sourceOf(image: ImagePlan, { archive }: PreparedImage): ContainerSpec["image"] {
  return archive === undefined ? { name: image.pullName, policy: image.pullPolicies[0] ?? "missing" } : { archive };
}

function containerJob(run: BatchStage, spec: ContainerSpec, image: PreparedImage, files: JobFiles): string {
  const { podman } = run.state.config.general;
  const { base, privateDir } = run.state.workspace;
  return jobFile({
    ...common(run, files),
    // An archive may be named by its bare name.
    workingDirectory: image.archive === undefined ? base : privateDir,
    container: {
      podman: podman.application_path ?? "podman",
      ...runCommand(spec),
      name: spec.name,
      keepEnded: podman.disable_container_removal,
      onNode: [schedulerVariables, ...(choosesGpus(spec.options) ? [] : [gpuGrant])],
    },
  });
}

/** What the user asks of the scheduler. Throws `batch_arguments_invalid`. */
function argumentsOf({ context, state }: BatchStage): string[] {
  const { arguments_variable: names, allow_illegal_args: all } = state.config.batch;
  const wishes = names.flatMap((name) => context.variables.get(name) ?? []);
  return userArguments(wishes, all ? undefined : schedulerOf(state.config).ownArguments);
}

/** Whether the job shares an allocation. Throws `batch_arguments_invalid`. */
function requestOf({ context, state, job }: BatchStage): AllocationRequest | undefined {
  const { variables } = context;
  const action = variables.get("JACAMAR_SCHEDULER_ACTION");
  const key = variables.get("JACAMAR_SCHEDULER_JOB_KEY");
  const request = allocationRequest(action, key, job, variables.get("CI_PIPELINE_ID"));
  const { title, steps } = schedulerOf(state.config);
  if (request === undefined || steps !== undefined) return request;
  throw new JacamarError("batch_arguments_invalid", `${title} cannot share an allocation between jobs`, {
    hint: "Remove JACAMAR_SCHEDULER_ACTION from the job.",
  });
}

/** What the script's summary tells of memory. A step must not count what others use in its allocation. */
function memoryOf({ state, script }: BatchStage, request: AllocationRequest | undefined): JobFileSpec["memory"] {
  const { memoryGroup, steps } = schedulerOf(state.config);
  const mark = request === undefined ? memoryGroup : steps?.memoryGroup;
  return mark === undefined ? undefined : { file: memoryFileOf(script), mark };
}

/** A person finds the job file and its output beside the script. What decides lies where no container can write. */
function batchFiles({ state, stage }: BatchStage): JobFiles {
  const { scriptsDir, privateDir } = state.workspace;
  const own = `${privateDir}/${stage.fileName}`;
  return {
    jobFile: `${scriptsDir}/${stage.fileName}.job`,
    output: `${scriptsDir}/${stage.fileName}.out`,
    log: `${scriptsDir}/${stage.fileName}.log`,
    ownId: `${own}${ownIdEnding}`,
    started: `${own}.started`,
    status: `${own}.job-status`,
    stopping: `${own}.stopping`,
    wanted: `${own}${wantedEnding}`,
  };
}

function common({ context, state, job, stage, script }: BatchStage, files: JobFiles) {
  const { config, workspace } = state;
  return {
    title: `Job file of the CI job ${job.id}, stage ${stage.name}, for ${schedulerOf(config).title}.`,
    shellPath: cleanBash(state, context.account).shellPath,
    profile: shellProfile(context.variables),
    files,
    script,
    scriptStatus: statusFileOf(script),
    memory: undefined,
    workingDirectory: workspace.base,
    ownId: schedulerOf(config).ownId,
    nodeList: schedulerOf(config).nodeList,
    uid: context.account.uid,
    stopGraceSeconds: config.general.kill_timeout,
    patienceSeconds: config.batch.nfs_timeout,
  };
}
