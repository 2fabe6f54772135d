import { spawn } from "node:child_process";
import { Socket } from "node:net";
import type { Command, Ending } from "./command.ts";
import { closeEnd, drain, type Fifo } from "./fifo.ts";

/** Where a followed program's output goes, chunk by chunk, in the order in which it came. */
export interface Sinks {
  readonly stdout: (chunk: Uint8Array) => void;
  readonly stderr: (chunk: Uint8Array) => void;
}

/** The real pipes that the program gets as its output. They belong to the follower from then on. */
export interface OutputPipes {
  readonly stdout: Fifo;
  readonly stderr: Fifo;
}

export interface Followed {
  /** Number of the program and of the session and process group that it leads. */
  readonly pid: number;
  /** Settles when the program has ended and all that it wrote until then has reached the sinks. */
  readonly ended: Promise<Ending>;
}

/**
 * A pipe holds 64 KiB, at most 1 MiB where a program enlarged it; what comes after is from somebody who writes on after
 * the program's end.
 */
const drainLimitBytes = 4 * 1024 * 1024;

/**
 * Starts a program in a session of its own and passes its output on as it comes.
 *
 * The stage ends when the program ends: a process that it left behind may hold its output, but is not waited for.
 * Rejects with Node's error when the program cannot be started.
 */
export function follow(command: Command, pipes: OutputPipes, sinks: Sinks): Promise<Followed> {
  const [program, ...args] = command.argv;
  const child = spawn(program, args, {
    cwd: command.workingDirectory,
    env: { ...command.environment },
    detached: true,
    stdio: ["ignore", pipes.stdout.writeEnd, pipes.stderr.writeEnd],
  });
  closeEnd(pipes.stdout.writeEnd);
  closeEnd(pipes.stderr.writeEnd);
  const readers = [
    { fifo: pipes.stdout, sink: sinks.stdout },
    { fifo: pipes.stderr, sink: sinks.stderr },
  ].map(({ fifo, sink }) => {
    const socket = new Socket({ fd: fifo.readEnd, readable: true, writable: false });
    socket.on("data", sink);
    return {
      finish: () => {
        socket.removeAllListeners("data");
        for (const chunk of drain(fifo.readEnd, drainLimitBytes)) sink(chunk);
        socket.destroy();
      },
      abandon: () => socket.destroy(),
    };
  });
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      for (const reader of readers) reader.abandon();
      reject(error);
    };
    child.once("error", failed);
    child.once("spawn", () => {
      child.off("error", failed);
      const { pid } = child;
      if (pid === undefined) throw new Error("a started program without a number");
      resolve({ pid, ended });
    });
    const ended = new Promise<Ending>((settle) => {
      child.once("exit", (exitCode, signal) => {
        for (const reader of readers) reader.finish();
        settle(signal === null ? { exitCode: exitCode ?? 0 } : { signal });
      });
    });
  });
}
