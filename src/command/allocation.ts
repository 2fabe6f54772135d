import { JacamarError } from "../error/error.ts";
import type { AllocationRequest } from "../executor/batch/allocation-request.ts";
import { awaitStart } from "../executor/batch/batch-job.ts";
import { limited } from "../executor/batch/call-limit.ts";
import { cancelAndVerify } from "../executor/batch/cancel.ts";
import type { BatchEnd, BatchTools } from "../executor/batch/following.ts";
import { forgetOldHolders, holderFile, unwantHolder, wantHolder } from "../executor/batch/holder.ts";
import type { SchedulerId, Steps, Submission } from "../executor/batch/scheduler.ts";
import { runStep } from "../executor/batch/step.ts";
import { submitJob } from "../executor/batch/submit.ts";
import type { Environment } from "../process/command.ts";
import { writeNew } from "../workspace/script-files.ts";

/** What running in a shared allocation needs beside {@link BatchTools}. */
export interface AllocationRun {
  readonly request: AllocationRequest;
  /** Says which job is to hold the allocation, in a directory that is there. */
  readonly wanted: string;
  readonly steps: Steps;
  /** The job that would be submitted without an allocation: the step has its name, the allocation its arguments. */
  readonly submission: Submission;
  /** Finds a program of the scheduler's, and its environment. */
  readonly program: (name: string) => string;
  readonly environment: Environment;
  readonly workingDirectory: string;
}

/**
 * Runs a job file in an allocation that CI jobs of a pipeline share. `allocate` takes it, and waits for it, first; `cancel`
 * gives it back at last, whatever became of the script.
 *
 * Throws `allocation_gone` when there is none, and what submitting and following throw.
 */
export async function runInAllocation(run: AllocationRun, tools: BatchTools): Promise<BatchEnd> {
  const { request } = run;
  const isNew = request.action === "allocate";
  const allocation = isNew ? await allocate(run, tools) : await findAllocation(run, tools);
  // It may be one that the scheduler took for a CI job that is over, and that would hold nothing.
  wantHolder(run.wanted, allocation);
  try {
    await waitForIt(run, allocation, tools);
    if (tools.stop.aborted) return stopped(allocation, tools);
    tools.say(`Running in ${tools.scheduler.title} job ${allocation}, the shared allocation "${request.key}"`);
    return await runStep(
      { steps: run.steps, allocation, name: run.submission.name, command: stepCommand(run, allocation) },
      tools,
    );
  } finally {
    if (request.action === "cancel") {
      await release(run, allocation, tools);
      tools.say(`Gave the shared allocation "${request.key}" back`);
    }
  }
}

/** A job that waits for an allocation that another one has taken leaves it to others when it is to end. */
async function waitForIt({ request, wanted }: AllocationRun, id: SchedulerId, tools: BatchTools): Promise<void> {
  try {
    await awaitStart(id, request.name, tools, request.action === "reattach" ? "shared" : "own");
  } catch (error) {
    unwantHolder(wanted);
    throw error;
  }
  if (tools.stop.aborted && request.action !== "reattach") unwantHolder(wanted);
}

/** A second try of the same CI job finds the allocation of the first. */
async function allocate({ request, submission: own, wanted }: AllocationRun, tools: BatchTools): Promise<SchedulerId> {
  const { scheduler, call, userName, say, stop } = tools;
  const [there] = (await scheduler.find(request.name, userName, limited(call, { stop }))) ?? [];
  if (there !== undefined) {
    say(`The shared allocation "${request.key}" is there already: ${scheduler.title} job ${there}`);
    return there;
  }
  const file = `${own.jobFile}.allocation`;
  const patienceSeconds = tools.patience.filesMilliseconds / 1000;
  writeNew(file, holderFile({ wanted, ownId: scheduler.ownId, patienceSeconds }), 0o700);
  forgetOldHolders(wanted);
  wantHolder(wanted, undefined);
  const submission = {
    name: request.name,
    jobFile: file,
    logFile: "/dev/null",
    userArguments: own.userArguments,
  };
  const id = await submit(submission, wanted, tools);
  say(`Submitted ${scheduler.title} job ${id}: the shared allocation "${request.key}"`);
  return id;
}

/** What is taken of it later holds nothing. */
async function submit(submission: Submission, wanted: string, tools: BatchTools): Promise<SchedulerId> {
  try {
    return (await submitJob(submission, tools)).id;
  } catch (error) {
    unwantHolder(wanted);
    throw error;
  }
}

async function findAllocation({ request }: AllocationRun, tools: BatchTools): Promise<SchedulerId> {
  const { scheduler, call, userName, stop } = tools;
  const found = await scheduler.find(request.name, userName, limited(call, { stop }));
  if (stop.aborted)
    throw new JacamarError("interrupted", "GitLab Runner ended this stage before its allocation was found");
  if (found === undefined) {
    throw new JacamarError("scheduler_unavailable", `${scheduler.title} does not say which allocations there are`, {
      hint: "Retry the job. If it stays, show this line to the administrators.",
    });
  }
  const [id] = found;
  if (id !== undefined) return id;
  throw new JacamarError("allocation_gone", `There is no shared allocation "${request.key}" of yours in this project`, {
    hint: "Its time may be up, or the job with JACAMAR_SCHEDULER_ACTION=allocate did not run before this one. Run that job again.",
  });
}

function stepCommand(run: AllocationRun, allocation: SchedulerId) {
  const { argv, environment } = run.steps.run(allocation, run.submission.name, run.submission.jobFile);
  const [program, ...args] = argv;
  return {
    argv: [run.program(program), ...args] as const,
    environment: { ...run.environment, ...environment },
    workingDirectory: run.workingDirectory,
  };
}

/** Ends the allocation, and sees that it is gone. Throws `batch_left`. */
async function release({ request, wanted }: AllocationRun, id: SchedulerId, tools: BatchTools): Promise<void> {
  unwantHolder(wanted);
  const { scheduler, call, userName } = tools;
  await cancelAndVerify({ ids: [id], name: request.name, scheduler, call, userName }, () => undefined);
}

function stopped(id: SchedulerId, tools: BatchTools): BatchEnd {
  const nothing = { status: undefined, state: undefined, queueMilliseconds: undefined, nodes: undefined };
  return { id, title: `${tools.scheduler.title} job ${id}`, stopped: true, ...nothing };
}
