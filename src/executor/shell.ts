import { constants } from "node:os";
import { JacamarError, systemErrorCode } from "../error/error.ts";
import { CarriageReturnFilter } from "../log/carriage-return.ts";
import { writeWhole } from "../log/output.ts";
import type { JobKey } from "../gitlab/job-key.ts";
import { lastLine, type PodmanClient } from "../podman/client.ts";
import { removeContainers, terminateInside } from "../podman/containers.ts";
import { killGroup } from "../process/capture.ts";
import { type Command, shellExitCode } from "../process/command.ts";
import { type Followed, follow, type OutputPipes, type Sinks } from "../process/follow.ts";
import { endJobProcesses, type JobMarks } from "../process/job-processes.ts";
import { pause } from "../process/signals.ts";
import { type Measurements, sinceStart } from "../measure/measurements.ts";
import { readStatus } from "../workspace/script-files.ts";
import { judge, type Outcome } from "./outcome.ts";
import { noteScript } from "./script-times.ts";

/** What running a script on this machine needs, with and without a container. */
export interface RunTools {
  /** The script as it lies in the scripts directory; its status is left beside it. */
  readonly script: string;
  readonly pipes: OutputPipes;
  readonly stop: AbortSignal;
  /** Longest wait between SIGTERM and SIGKILL. */
  readonly killTimeoutSeconds: number;
  /** Called with the number of what was started, which leads a session of its own. */
  readonly onStarted: (pid: number) => void;
  readonly measure: Measurements;
}

const jobLog: Sinks = {
  stdout: (chunk) => writeWhole(1, chunk),
  stderr: (chunk) => writeWhole(2, chunk),
};

/**
 * Runs a script with Bash on this machine and returns how it ended. When the runner wants the stage to end, all processes
 * of the job are ended first.
 * Throws `shell_failed` when Bash cannot be started, `process_left` when a process does not end.
 */
export async function runBash(command: Command, marks: Omit<JobMarks, "sessions">, tools: RunTools): Promise<Outcome> {
  let shell: Followed;
  const started = sinceStart();
  try {
    shell = await follow(command, tools.pipes, jobLog);
  } catch (cause) {
    throw new JacamarError(
      "shell_failed",
      `Cannot start the shell "${command.argv[0]}": ${systemErrorCode(cause) ?? "unknown error"}`,
      {
        hint: "The administrator sets its place with shell_path in [general].",
        cause,
      },
    );
  }
  tools.onStarted(shell.pid);
  const session = { ...marks, sessions: [shell.pid] };
  let ending: Promise<void> | undefined;
  const endingFailed = Promise.withResolvers<never>();
  const stop = () => {
    ending ??= endAll(session, tools.killTimeoutSeconds);
    // A shell that cannot be ended is not waited for.
    ending.catch(endingFailed.reject);
  };
  tools.stop.addEventListener("abort", stop, { once: true });
  if (tools.stop.aborted) stop();
  const end = await Promise.race([shell.ended, endingFailed.promise]);
  tools.stop.removeEventListener("abort", stop);
  await ending;
  noteScript(tools.measure, tools.script, "login", { started, ended: sinceStart() });
  // A shell that was killed leaves what it was running; a shell that ended has left in the background what it wanted to.
  if ("signal" in end && !tools.stop.aborted) await endAll({ ...session, token: "" }, tools.killTimeoutSeconds);
  return judge({
    status: readStatus(tools.script),
    exitCode: shellExitCode(end, constants.signals),
    stopped: tools.stop.aborted,
  });
}

async function endAll(marks: JobMarks, graceSeconds: number): Promise<void> {
  const { left } = await endJobProcesses(marks, graceSeconds);
  if (left.length === 0) return;
  throw new JacamarError("process_left", `Processes of the job could not be ended: ${left.join(", ")}`, {
    hint: "They hang in the system, or run as another user. Show this line to the administrators.",
  });
}

/** What running a script in a container needs beside {@link RunTools}. */
export interface ContainerTools extends RunTools {
  readonly podman: PodmanClient;
  readonly key: JobKey;
  /** Name of the container. */
  readonly name: string;
  /** With a terminal, the line breaks come back as carriage return and line feed, which the log must not get. */
  readonly tty: boolean;
  /** Containers that have ended stay (`disable_container_removal`). */
  readonly keepEnded: boolean;
}

/**
 * Runs a script in a container on this machine and returns how it ended. When the runner wants the stage to end, or the
 * Podman client goes away, the container is ended, removed, and verified to be gone.
 *
 * @param args arguments of Podman, from `run` on.
 * Throws `podman_missing`, `podman_failed` when Podman fails before the script ran, or `container_left`.
 */
export async function runContainer(args: readonly string[], tools: ContainerTools): Promise<Outcome> {
  const { podman, key, stop } = tools;
  const filter = tools.tty ? new CarriageReturnFilter(jobLog.stdout) : undefined;
  let said = "";
  const started = sinceStart();
  const client = await podman.follow(args, tools.pipes, {
    stdout: filter ? (chunk) => filter.write(chunk) : jobLog.stdout,
    stderr: (chunk) => {
      said = (said + Buffer.from(chunk).toString("utf8")).slice(-8192);
      jobLog.stderr(chunk);
    },
  });
  tools.onStarted(client.pid);
  let over = false;
  let ending: Promise<unknown> | undefined;
  const endingFailed = Promise.withResolvers<never>();
  const onStop = () => {
    ending ??= endContainer(client.pid, () => over, tools);
    ending.catch(endingFailed.reject);
  };
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();
  const end = await Promise.race([client.ended, endingFailed.promise]);
  over = true;
  stop.removeEventListener("abort", onStop);
  filter?.end();
  noteScript(tools.measure, tools.script, "container", { started, ended: sinceStart() });
  await ending;
  const outcome = judge({
    status: readStatus(tools.script),
    exitCode: shellExitCode(end, constants.signals),
    stopped: stop.aborted,
  });
  // Without a status the container may still be there, whatever became of the client.
  if (outcome.kind !== "passed" && typeof readStatus(tools.script) !== "number")
    await removeContainers(podman, key, tools.keepEnded);
  if (outcome.kind === "lost" && isPodmansOwn(outcome.exitCode, said)) {
    throw new JacamarError("podman_failed", `Podman failed before the script ran: ${lastLine(said)}`, {
      hint: "Try as the same user on the same machine: podman run --rm IMAGE true",
    });
  }
  return outcome;
}

/**
 * Whether Podman has failed, and not what it was to run. It says 125 for itself; but a "permission denied" or "not found" of its
 * own becomes 126 or 127, too, as seen without subordinate ids. What the runtime says of the command has the word OCI.
 */
function isPodmansOwn(exitCode: number, said: string): boolean {
  if (exitCode === 125) return true;
  const errors = said.split("\n").filter((line) => line.startsWith("Error: "));
  return (exitCode === 126 || exitCode === 127) && errors.length > 0 && !/\bOCI\b/.test(errors.at(-1) ?? "");
}

/** SIGTERM to what runs in the container, as soon as there is one; after the grace the container goes. */
async function endContainer(clientPid: number, isOver: () => boolean, tools: ContainerTools): Promise<void> {
  const deadline = performance.now() + tools.killTimeoutSeconds * 1000;
  let told = false;
  let waitMilliseconds = 20;
  while (!isOver() && performance.now() < deadline) {
    const secondsLeft = Math.max(1, (deadline - performance.now()) / 1000);
    told ||= await terminateInside(tools.podman, tools.name, Math.min(10, secondsLeft));
    await pause(waitMilliseconds);
    waitMilliseconds = Math.min(waitMilliseconds * 2, 250);
  }
  try {
    if (!isOver()) await removeContainers(tools.podman, tools.key, tools.keepEnded);
  } catch (error) {
    // It could not be found by its label; it may still be ended by its name.
    await tools.podman.ask(["kill", tools.name], { timeoutSeconds: 10 });
    throw error;
  } finally {
    killGroup(clientPid, "SIGKILL");
  }
  // A client that still lived could make the container after we had looked.
  await removeContainers(tools.podman, tools.key, tools.keepEnded);
}
