import { JacamarError, systemErrorCode } from "../../error/error.ts";
import { capture } from "../../process/capture.ts";
import type { Command } from "../../process/command.ts";
import { pause } from "../../process/signals.ts";
import { inSeconds, limited } from "./call-limit.ts";
import { cancelCallSeconds } from "./cancel.ts";
import { Follower } from "./follower.ts";
import type { BatchEnd, BatchTools, Handle } from "./following.ts";
import type { QueueState, SchedulerId, Steps } from "./scheduler.ts";

/** A step to run in an allocation. */
export interface StepRun {
  readonly steps: Steps;
  readonly allocation: SchedulerId;
  /** By which it is found again. */
  readonly name: string;
  /** The scheduler's command that runs the step and ends with it. */
  readonly command: Command;
}

/** Longer than any job may take. */
const longestSeconds = 21 * 24 * 3600;
const goneSeconds = 60;

/**
 * Runs a job file as a step of an allocation, and follows it to its end as a job of its own would be: by its files. The
 * scheduler's command is there only to start it, and to tell that it is over.
 * Throws `scheduler_unavailable` when the command cannot be started, `batch_left` when the step cannot be ended.
 */
export async function runStep(step: StepRun, tools: BatchTools): Promise<BatchEnd> {
  const { scheduler, call, userName } = tools;
  const over = new AbortController();
  let state: QueueState = { kind: "running" };
  const executed = execute(step, over.signal);
  const command = executed.then((ended) => {
    state = ended;
    return new Promise<never>(() => undefined);
  });
  const handle: Handle = {
    id: step.allocation,
    title: `The step in ${scheduler.title} job ${step.allocation}`,
    ask: () => Promise.resolve(state),
    terminate: async (seconds) => {
      const limit = limited(call, { deadlineMilliseconds: inSeconds(seconds) });
      for (const id of (await step.steps.find(step.name, userName, limit)) ?? []) await step.steps.terminate(id, limit);
    },
    end: async (onLook) => {
      const deadline = inSeconds(goneSeconds);
      const ended = await endStep(step, tools, onLook, deadline);
      // A command that still lived could start the step after the look.
      over.abort();
      await executed.catch(() => undefined);
      return ended + (await endStep(step, tools, onLook, deadline));
    },
  };
  const follower = new Follower(handle, tools);
  try {
    // The command alone never ends a step: it only fails when it cannot be started.
    return await Promise.race([follower.follow(), command]);
  } finally {
    follower.abandon();
    over.abort();
  }
}

async function execute({ command }: StepRun, stop: AbortSignal): Promise<QueueState> {
  try {
    const { ending, stderr } = await capture(command, { timeoutSeconds: longestSeconds, stop });
    const words = stderr.trim().split("\n").slice(-5).join("\n");
    const exitCode = "exitCode" in ending ? ending.exitCode : undefined;
    return { kind: "ended", end: "failed", said: words === "" ? "the step has ended" : words, exitCode };
  } catch (cause) {
    throw new JacamarError(
      "scheduler_unavailable",
      `Cannot start "${command.argv[0]}": ${systemErrorCode(cause) ?? "unknown error"}`,
      { cause },
    );
  }
}

/** A step outlives the command that started it, when that is killed: so it is found by its name. */
export async function endStep(
  { steps, name }: Pick<StepRun, "steps" | "name">,
  { call: anyCall, userName, scheduler }: Pick<BatchTools, "call" | "userName" | "scheduler">,
  onLook: () => void,
  deadline: number = inSeconds(goneSeconds),
): Promise<number> {
  const call = limited(anyCall, { deadlineMilliseconds: deadline, callSeconds: cancelCallSeconds });
  const ended = new Set<SchedulerId>();
  let wait = 100;
  for (;;) {
    const left = await steps.find(name, userName, call);
    if (left?.length === 0) return ended.size;
    for (const id of left ?? []) {
      await steps.cancel(id, call);
      ended.add(id);
    }
    if (performance.now() >= deadline) {
      throw new JacamarError("batch_left", `The step "${name}" in ${scheduler.title} could not be ended`, {
        hint: "It ends with its allocation. Cancel that by hand, or ask the administrators to.",
      });
    }
    await pause(Math.min(wait, Math.max(0, deadline - performance.now())));
    wait = Math.min(wait * 2, 2000);
    onLook();
  }
}
