import { JacamarError } from "../error/error.ts";
import type { AllocationRequest } from "../executor/batch/allocation-request.ts";
import { runBatchJob } from "../executor/batch/batch-job.ts";
import type { BatchEnd, BatchTools } from "../executor/batch/following.ts";
import type { Patience } from "../executor/batch/job-watch.ts";
import { makeWanted } from "../executor/batch/wanted.ts";
import { findProgram, programEnvironment } from "../executor/batch/programs.ts";
import { boardDirectory, QueueBoard } from "../executor/batch/queue-board.ts";
import type { Outcome } from "../executor/outcome.ts";
import { noteScript } from "../executor/script-times.ts";
import { CarriageReturnFilter } from "../log/carriage-return.ts";
import { JobLog } from "../log/job-log.ts";
import { writeWhole } from "../log/output.ts";
import { sinceStart } from "../measure/measurements.ts";
import { makeRuntimeDirectory } from "../podman/surroundings.ts";
import { makeDirectory } from "../workspace/directories.ts";
import { readMemory, remove, writeNew } from "../workspace/script-files.ts";
import { readEndOfFile } from "../workspace/small-file.ts";
import { runInAllocation } from "./allocation.ts";
import { type OpenScheduler, openScheduler } from "./batch.ts";
import { outcomeOf } from "./batch-outcome.ts";
import { type BatchStage, planBatch } from "./batch-plan.ts";
import { requirePrepared, withoutPrepare, writeContainerFiles } from "./container-spec.ts";
import type { StageContext } from "./context.ts";
import { allocationsDirectory, directoryRules } from "./job-files.ts";
import { readPrepared } from "./prepared.ts";
import type { JobState } from "./state.ts";

/** A step, with what running it needs. */
export interface BatchRun extends BatchStage {
  readonly context: StageContext;
  readonly content: Uint8Array;
}

/**
 * Runs a step as a job of the scheduler, and returns how it ended.
 *
 * Throws `batch_arguments_invalid`, `batch_limit` or `batch_ended` when the scheduler ended it, and what {@link runBatchJob}
 * throws.
 */
export async function runOnScheduler(run: BatchRun): Promise<Outcome> {
  const { context, state, image } = run;
  const { config } = state;
  const prepared = readPrepared(state.workspace);
  if (!prepared) throw withoutPrepare();
  const opened = openScheduler(state, context.account, prepared);
  const { scheduler, call } = opened;
  const plan = planBatch(run, image && requirePrepared(prepared, image).image);
  const { files, submission, request, container } = plan;
  const { jobFile: file, output, log: schedulerLog, ownId, started, status, stopping, wanted } = files;
  for (const path of [file, output, schedulerLog, ownId, started, status, stopping, wanted]) remove(path);
  if (container) writeContainerFiles(run, container);
  else writeNew(run.script, run.content, 0o700);
  writeNew(file, plan.text, 0o700);
  makeWanted(wanted);

  const filter = container?.tty === true ? new CarriageReturnFilter((chunk) => void writeWhole(1, chunk)) : undefined;
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
  const submitted = sinceStart();
  let end: BatchEnd;
  try {
    end =
      request === undefined
        ? await runBatchJob(submission, tools)
        : await runInAllocation({ ...shared(run, opened, request), submission }, tools);
  } finally {
    // A job that the scheduler takes late, or begins again, has nobody any more who would end it.
    remove(wanted);
  }
  filter?.end();
  noteTimes(run, end, submitted);
  const words = end.stopped || end.status?.script === 0 ? "" : lastWords(files.log, scheduler.ordinary);
  if (words !== "") log.say(words);
  return outcomeOf({ ...end, words }, run);
}

/** Notes where and how long the job waited and ran. */
function noteTimes({ context: { measure }, image, script }: BatchRun, end: BatchEnd, submitted: number): void {
  const ended = sinceStart();
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
  if (image) noteScript(measure, script, "container", { written: submitted, started, ended });
  else {
    measure.add("script", started, ended);
    // A job file that knows the memory of its control group leaves it there.
    measure.note(readMemory(script) ?? {});
  }
}

function shared({ context, state }: BatchRun, { scheduler, programs }: OpenScheduler, request: AllocationRequest) {
  if (scheduler.steps === undefined) throw new Error("an allocation of a scheduler without steps");
  const directory = allocationsDirectory(state.workspace);
  makeDirectory(state.workspace.base, directory, directoryRules(state.config, context.account));
  return {
    request,
    wanted: `${directory}/${request.name}`,
    steps: scheduler.steps,
    program: (name: string) => findProgram(name, scheduler, programs),
    environment: programEnvironment(scheduler, programs),
    workingDirectory: state.workspace.base,
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
function openBoard({ context, state }: BatchRun, { scheduler, programs }: OpenScheduler): QueueBoard | undefined {
  try {
    const directory = makeRuntimeDirectory(context.account, state.workspace.base);
    const environment = programEnvironment(scheduler, programs);
    return new QueueBoard(boardDirectory(directory, environment, programs.directory));
  } catch (error) {
    if (error instanceof JacamarError) return undefined;
    throw error;
  }
}

/** More is never shown of it, and the job can write there, too. */
const wordsBytes = 32 * 1024;

/** What the scheduler has written into its log of the job, its end at the most: why it ended it, as a rule. */
function lastWords(path: string, ordinary: RegExp | undefined): string {
  const text = readEndOfFile(path, wordsBytes) ?? "";
  const news = ordinary === undefined ? text : text.replace(ordinary, "");
  return news.trim().split("\n").slice(-10).join("\n").slice(-4000);
}
