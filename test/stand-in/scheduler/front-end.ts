import type { Cluster, Manner } from "./cluster.ts";
import type { Job } from "./job.ts";

/** A call of a program, as the controller sees it. */
export interface Call {
  /** The name that it was called by. */
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly userName: string;
  out(text: string | Buffer): void;
  err(text: string | Buffer): void;
  /** Calls back for each signal that the program gets. */
  onSignal(listener: (signal: NodeJS.Signals) => void): void;
  /** Fires when the program is gone without having ended by itself. */
  readonly gone: AbortSignal;
}

/** A program: it answers, and returns its exit code. */
export type Program = (call: Call, cluster: Cluster) => number | Promise<number>;

/** The programs of a scheduler, and how it treats jobs. */
export interface FrontEnd {
  readonly manner: Manner;
  readonly programs: Readonly<Record<string, Program>>;
}

/** Waits until a job has left the queue, or the program got a signal, or is gone: then the job stays. */
export async function leaveQueue(call: Call, job: Job, onLook: () => void = () => undefined): Promise<"left" | "told"> {
  const told = new AbortController();
  call.onSignal(() => told.abort());
  while (job.state === "pending" && !told.signal.aborted && !call.gone.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    onLook();
  }
  return told.signal.aborted ? "told" : "left";
}

/** `2026-11-25T16:02:19`, in local time. */
export function localTime(milliseconds: number): string {
  const date = new Date(milliseconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The number of a signal that is named with or without SIG, or given as a number. */
export function signalNamed(word: string): NodeJS.Signals | undefined {
  const byNumber: Readonly<Record<string, NodeJS.Signals>> = { 1: "SIGHUP", 2: "SIGINT", 9: "SIGKILL", 15: "SIGTERM" };
  const name = word.toUpperCase();
  const known = ["HUP", "INT", "QUIT", "KILL", "URG", "USR1", "USR2", "TERM", "CONT", "STOP"].find((each) =>
    [each, `SIG${each}`].includes(name),
  );
  return byNumber[word] ?? (known === undefined ? undefined : toSignal(known));
}

function toSignal(name: string): NodeJS.Signals | undefined {
  const signals: readonly NodeJS.Signals[] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGKILL",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGTERM",
    "SIGCONT",
    "SIGSTOP",
  ];
  return signals.find((signal) => signal === `SIG${name}`);
}
