import { constants, readFileSync } from "node:fs";
import { JacamarError } from "../error/error.ts";
import { type AllocationRequest, allocationRequest } from "../executor/batch/allocation-request.ts";
import { findProgram, programEnvironment } from "../executor/batch/programs.ts";
import { runInAllocation } from "./allocation.ts";
import { runBatchJob } from "../executor/batch/batch-job.ts";
import type { BatchEnd, BatchTools } from "../executor/batch/following.ts";
import { type ContainerRun, type JobFiles, jobFile } from "../executor/batch/job-file.ts";
import type { Patience } from "../executor/batch/job-watch.ts";
import { userArguments } from "../executor/batch/own-arguments.ts";
import { boardDirectory, QueueBoard } from "../executor/batch/queue-board.ts";
import { judge, type Outcome } from "../executor/outcome.ts";
import { noteScript } from "../executor/script-times.ts";
import type { Job } from "../gitlab/job.ts";
import type { Stage } from "../gitlab/stage.ts";
import { CarriageReturnFilter } from "../log/carriage-return.ts";
import { JobLog } from "../log/job-log.ts";
import { writeWhole } from "../log/output.ts";
import { runCommand } from "../mechanism/podman/command.ts";
import { choosesGpus, gpuGrant } from "../mechanism/podman/gpu-grant.ts";
import { schedulerVariables } from "../mechanism/podman/scheduler-variables.ts";
import type { ImagePlan } from "../mechanism/podman/image-plan.ts";
import { makeRuntimeDirectory } from "../podman/surroundings.ts";
import { remove, statusFileOf, writeNew } from "../workspace/script-files.ts";
import { batchName, type OpenScheduler, openScheduler, schedulerOf } from "./batch.ts";
import { cleanBash, shellProfile } from "./clean-bash.ts";
import {
  containerSpec,
  entrypointFailed,
  isEntrypointOfJob,
  requirePrepared,
  withoutPrepare,
  writeContainerFiles,
} from "./container-spec.ts";
import type { StageContext } from "./context.ts";
import { type Prepared, readPrepared } from "./prepared.ts";
import type { JobState } from "./state.ts";

/** A user's step that is to run as a job of the scheduler. */
export interface BatchStage {
  readonly context: StageContext;
  readonly state: JobState;
  readonly job: Job;
  readonly stage: Stage;
  /** Undefined for the host. */
  readonly image: ImagePlan | undefined;
  /** The script that GitLab Runner generated. */
  readonly content: Uint8Array;
  readonly tools: { readonly script: string };
}

/**
 * Runs a step as a job of the scheduler, and returns how it ended.
 *
 * Throws `batch_arguments_invalid`, `batch_limit` or `batch_ended` when the scheduler ended it, and what {@link runBatchJob}
 * throws.
 */
export async function runOnScheduler(run: BatchStage): Promise<Outcome> {
  const { context, state, image } = run;
  const { config } = state;
  const prepared = readPrepared(state.workspace);
  if (!prepared) throw withoutPrepare();
  const opened = openScheduler(state, context.account, prepared);
  const { scheduler, call } = opened;
  const given = argumentsOf(run);
  const request = requestOf(run);
  const files = batchFiles(run);
  const { jobFile: file, output, log: schedulerLog, started, status, stopping } = files;
  for (const path of [file, output, schedulerLog, started, status, stopping]) remove(path);
  const text = image ? containerJob(run, image, prepared, files) : hostJob(run, files);
  writeNew(files.jobFile, text, 0o700);

  const filter =
    image && config.general.podman.tty ? new CarriageReturnFilter((chunk) => void writeWhole(1, chunk)) : undefined;
  const log = new JobLog(1);
  const tools: BatchTools = {
    scheduler,
    call,
    board: openBoard(run, opened),
    files,
    userName: context.account.name,
    patience: patienceOf(state),
    killTimeoutSeconds: config.general.kill_timeout,
    say: (line) => log.say(line),
    sink: filter ? (chunk) => filter.write(chunk) : (chunk) => void writeWhole(1, chunk),
    stop: context.stop,
  };
  const name = batchName(state.jobKey);
  const submitted = performance.now();
  const end =
    request === undefined
      ? await runBatchJob({ name, jobFile: files.jobFile, logFile: files.log, userArguments: given }, tools)
      : await runInAllocation({ ...shared(run, opened, request), userArguments: given, jobFile: files.jobFile }, tools);
  filter?.end();
  noteTimes(run, end, submitted);
  const words = end.stopped || end.status?.script === 0 ? "" : lastWords(files.log);
  if (words !== "") log.say(words);
  return outcomeOf({ ...end, words }, run);
}

/** Notes where and how long the job waited and ran. */
function noteTimes({ context: { measure }, image, tools }: BatchStage, end: BatchEnd, submitted: number): void {
  const ended = performance.now();
  const started = end.queueMilliseconds === undefined ? ended : submitted + end.queueMilliseconds;
  measure.note({
    mechanism: image ? "podman" : "bash",
    schedulerId: end.id,
    queueSeconds: (started - submitted) / 1000,
    ...(end.nodes === undefined || end.nodes === "" ? {} : { node: end.nodes }),
    ...(image ? { image: image.name } : {}),
  });
  measure.add("queue", submitted, started);
  if (end.queueMilliseconds === undefined) return;
  if (image) noteScript(measure, tools.script, "container", { written: submitted, started, ended });
  else measure.add("script", started, ended);
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
  const request = allocationRequest(action, variables.get("JACAMAR_SCHEDULER_JOB_KEY"), job);
  const { title, steps } = schedulerOf(state.config);
  if (request === undefined || steps !== undefined) return request;
  throw new JacamarError("batch_arguments_invalid", `${title} cannot share an allocation between jobs`, {
    hint: "Remove JACAMAR_SCHEDULER_ACTION from the job.",
  });
}

function shared({ state }: BatchStage, { scheduler, programs }: OpenScheduler, request: AllocationRequest) {
  if (scheduler.steps === undefined) throw new Error("an allocation of a scheduler without steps");
  return {
    request,
    steps: scheduler.steps,
    stepName: batchName(state.jobKey),
    program: (name: string) => findProgram(name, scheduler, programs),
    environment: programEnvironment(scheduler, programs),
    workingDirectory: state.workspace.base,
  };
}

/** A person finds the job file and its output beside the script. What decides lies where no container can write. */
function batchFiles({ state, stage }: BatchStage): JobFiles {
  const { scriptsDir, privateDir } = state.workspace;
  const own = `${privateDir}/${stage.fileName}`;
  return {
    jobFile: `${scriptsDir}/${stage.fileName}.job`,
    output: `${scriptsDir}/${stage.fileName}.out`,
    log: `${scriptsDir}/${stage.fileName}.log`,
    started: `${own}.started`,
    status: `${own}.job-status`,
    stopping: `${own}.stopping`,
  };
}

function hostJob(run: BatchStage, files: JobFiles): string {
  writeNew(run.tools.script, run.content, 0o700);
  return jobFile({ ...common(run, files), container: undefined });
}

function containerJob(run: BatchStage, image: ImagePlan, all: Prepared, files: JobFiles): string {
  const prepared = requirePrepared(all, image);
  const { podman } = run.state.config.general;
  const { archive } = prepared.image;
  // Without an archive the node pulls by itself; it may have a store of its own.
  const source =
    archive === undefined ? { name: image.pullName, policy: image.pullPolicies[0] ?? "missing" } : { archive };
  const spec = containerSpec({ ...run, image, script: run.tools.script }, prepared.image, source);
  writeContainerFiles(run, spec);
  const command = runCommand(spec);
  const container: ContainerRun = {
    podman: podman.application_path ?? "podman",
    ...command,
    name: spec.name,
    keepEnded: podman.disable_container_removal,
    onNode: [schedulerVariables, ...(choosesGpus(image.options) ? [] : [gpuGrant])],
  };
  return jobFile({
    ...common(run, files),
    // An archive may be named by its bare name.
    workingDirectory: archive === undefined ? run.state.workspace.base : run.state.workspace.privateDir,
    container,
  });
}

function common({ context, state, job, stage, tools }: BatchStage, files: JobFiles) {
  const { config, workspace } = state;
  return {
    title: `Job file of the CI job ${job.id}, stage ${stage.name}, for ${schedulerOf(config).title}.`,
    shellPath: cleanBash(state, context.account).shellPath,
    profile: shellProfile(context.variables),
    files,
    script: tools.script,
    scriptStatus: statusFileOf(tools.script),
    workingDirectory: workspace.base,
    nodeList: schedulerOf(config).nodeList,
    uid: context.account.uid,
    stopGraceSeconds: config.general.kill_timeout,
    patienceSeconds: config.batch.nfs_timeout,
  };
}

function patienceOf({ config }: JobState): Patience {
  const { command_delay: ask, nfs_timeout: files, queue_timeout: queue } = config.batch;
  return {
    askMilliseconds: ask * 1000,
    filesMilliseconds: files * 1000,
    queueMilliseconds: queue === undefined ? undefined : queue * 1000,
  };
}

/** Sharing answers is a courtesy to the scheduler: where there is no place for it, each driver asks for itself. */
function openBoard({ context, state }: BatchStage, { scheduler, programs }: OpenScheduler): QueueBoard | undefined {
  try {
    const directory = makeRuntimeDirectory(context.account, state.workspace.base);
    const environment = programEnvironment(scheduler, programs);
    return new QueueBoard(boardDirectory(directory, environment, programs.directory));
  } catch (error) {
    if (error instanceof JacamarError) return undefined;
    throw error;
  }
}

/** What the scheduler has written into its log of the job, its end at the most: why it ended it, as a rule. */
function lastWords(path: string): string {
  try {
    const lines = readFileSync(path, {
      encoding: "utf8",
      flag: constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    });
    return lines.trim().split("\n").slice(-10).join("\n").slice(-4000);
  } catch {
    return "";
  }
}

/** How a job ended, with what the scheduler wrote of it. */
interface ToldEnd extends BatchEnd {
  readonly words: string;
}

/** With some accounting plugins Slurm calls it a failure, and only its log tells the reason. */
const memoryWords = /exceeded (?:job|step)? ?memory limit|oom[-_ ]kill|out of memory/i;

function outcomeOf(end: ToldEnd, { image, state }: BatchStage): Outcome {
  const { status, stopped } = end;
  if (stopped) return { kind: "stopped" };
  const limit = endedByScheduler(end, state);
  if (limit && status?.script !== 0) throw limit;
  if (status === undefined) throw limit ?? new Error("a batch job that ended without anybody's word");
  const outcome = judge({ status: status.script, exitCode: status.client, stopped });
  if (outcome.kind !== "lost" || !image) return outcome;
  if (status.client !== 125 && isEntrypointOfJob(image, state.config)) throw entrypointFailed(status.client);
  if (status.client !== 125) return outcome;
  throw new JacamarError("podman_failed", "Podman failed on the node before the script ran; its message stands above", {
    hint: "Try as the same user on the same node: podman run --rm IMAGE true",
  });
}

/** The scheduler's own reason for the end of a job, where it is one; undefined where the script simply ended. */
function endedByScheduler(
  { title: what, state: said, status, words }: ToldEnd,
  { config }: JobState,
): JacamarError | undefined {
  if (said === undefined) return undefined;
  const { title } = schedulerOf(config);
  switch (memoryWords.test(words) ? "memory-limit" : said.end) {
    case "time-limit":
      return new JacamarError("batch_limit", `${what} was ended at its time limit: ${said.said}`, {
        hint: "Ask for more time in SCHEDULER_PARAMETERS, or make the script shorter.",
      });
    case "memory-limit":
      return new JacamarError("batch_limit", `${what} was ended at its memory limit: ${said.said}`, {
        hint: "Ask for more memory in SCHEDULER_PARAMETERS.",
      });
    case "node-failure":
    case "preempted":
    case "cancelled":
      return new JacamarError("batch_ended", `${what} was ended by ${title}: ${said.said}`, {
        hint: "Somebody cancelled it, or its node failed. Retry the job.",
      });
    case "completed":
    case "failed":
    case "other":
      if (status !== undefined) return undefined;
      return new JacamarError(
        "batch_ended",
        `${what} has ended without an exit status of the script: ${said.said}${said.exitCode === undefined ? "" : `, exit code ${said.exitCode}`}`,
        { hint: "The node may not see the job's directories (data_dir), or a start-up file of Bash calls exit." },
      );
  }
}
