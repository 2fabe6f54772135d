import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { userInfo } from "node:os";
import { join } from "node:path";

/** An ordinary account that tests run as. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** How to start a program as a user. */
export interface StartOptions {
  /** The whole environment of the program; nothing is added. Without it, {@link loginEnvironment}. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory, the user's home without it. */
  readonly cwd?: string;
  /** What the program reads from standard input; without it `/dev/null`, as GitLab Runner gives it. */
  readonly input?: string | Buffer;
}

/** A piece of output as it arrived. */
export interface Chunk {
  readonly stream: "stdout" | "stderr";
  readonly text: string;
  /** Milliseconds since the program was started. */
  readonly atMilliseconds: number;
}

/** How a program ended, and all that it printed. */
export interface Ended {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Until the program was gone *and* nobody held its output open any more: what GitLab Runner waits for. */
  readonly durationMilliseconds: number;
  /** Until the program itself was gone. */
  readonly exitedAfterMilliseconds: number;
  /** True when `timeoutSeconds` passed and the whole process group was killed for it. */
  readonly timedOut: boolean;
}

/** A program that runs. */
export interface Running {
  /** Also the id of its process group. */
  readonly pid: number;
  /** When it was started, in milliseconds since 1970; its chunks count from there. */
  readonly startedAtMilliseconds: number;
  /** What was printed so far; it grows. */
  readonly chunks: readonly Chunk[];
  /** Standard output so far. */
  stdout(): string;
  /** Standard error so far. */
  stderr(): string;
  /** Signals the program alone. False when it is gone already. */
  kill(signal: NodeJS.Signals): boolean;
  /** Signals its whole process group at once, as GitLab Runner cancels a stage. False when the group is gone already. */
  killGroup(signal: NodeJS.Signals): boolean;
  /** Resolves when standard output and error together contain the text; rejects, with the output, after the time. */
  until(text: string, timeoutSeconds?: number): Promise<void>;
  /** Closes our end of its output: `done` then waits no longer for a process outside the group that holds it open. */
  closeOutput(): void;
  /** Resolves when it ended and its output is closed; never rejects. */
  readonly done: Promise<Ended>;
}

const root = process.getuid?.() === 0;

// A test that fails half-way must not leave its programs running.
const groups = new Set<number>();
process.on("exit", () => {
  for (const pid of groups) signalGroup(pid, "SIGKILL");
});

/**
 * The user that the tests run as: `jacamar-test`, made by `scripts/setup/machine test`, when we are root, and ourselves
 * otherwise.
 *
 * @throws when the machine has not been set up
 */
export function testUser(): User {
  return root ? userNamed("jacamar-test") : ourselves();
}

/**
 * A user whom nothing else uses, with Podman and the images: for a test that compares all that the user has before and
 * after. Only one test file at a time may run such a test. Undefined when we are not root and cannot act as two.
 */
export function quietUser(): User | undefined {
  return root ? userNamed("jacamar-quiet") : undefined;
}

/** A second user, who owns what the first must not touch; undefined when we are not root and cannot act as two. */
export function otherUser(): User | undefined {
  return root ? userNamed("jacamar-other") : undefined;
}

function ourselves(): User {
  const { username, uid, gid, homedir } = userInfo();
  return { name: username, uid, gid, home: homedir };
}

function userNamed(name: string): User {
  let entry: string;
  try {
    entry = execFileSync("getent", ["passwd", name], { encoding: "utf8" });
  } catch (cause) {
    throw new Error(`Cannot find the user ${name}: run scripts/setup/machine test`, { cause });
  }
  const [, , uid, gid, , home] = entry.trim().split(":");
  if (home === undefined) throw new Error(`Cannot read the entry of the user ${name}: ${entry}`);
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** What a login gives, and nothing of our own environment: the same on every machine. */
export function loginEnvironment(user: User): Record<string, string> {
  return {
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    SHELL: "/bin/bash",
    LANG: "C.UTF-8",
    PATH: "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
  };
}

/**
 * Runs a program as the user to its end. The list is executed as it is; no shell reads it.
 *
 * After `timeoutSeconds` (default 60) its process group gets SIGKILL, and the result says `timedOut`. A program that
 * fails is a result, not an error.
 */
export async function asUser(
  user: User,
  argv: readonly string[],
  options: StartOptions & { readonly timeoutSeconds?: number } = {},
): Promise<Ended> {
  const { timeoutSeconds = 60, ...start } = options;
  const running = startAsUser(user, argv, start);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    running.killGroup("SIGKILL");
    setTimeout(() => running.closeOutput(), 500).unref();
  }, timeoutSeconds * 1000);
  const ended = await running.done;
  clearTimeout(timer);
  return { ...ended, timedOut };
}

/**
 * Starts a program as the user and returns at once. It leads a process group of its own, as under GitLab Runner. (Node
 * makes a session with it, which the runner does not; neither has a terminal.)
 *
 * When we are root, `setpriv` becomes the user and is replaced by the program, so `pid` is the program's own. `env`
 * is already in force then: do not put anything there that is not to be loaded by setpriv (`LD_PRELOAD`).
 */
export function startAsUser(user: User, argv: readonly string[], options: StartOptions = {}): Running {
  // setpriv keeps root's capabilities until it becomes the next program. Were that one with file capabilities, it would gain
  // none, and the kernel would leave its memory to the user (capabilities(7)). So `env` comes between, as a runner would be.
  const setpriv = ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--init-groups", "--", "env"];
  const [program, ...rest] = root && user.uid !== 0 ? [...setpriv, ...argv] : argv;
  if (program === undefined) throw new TypeError("Cannot start a program from an empty list");

  const startedAt = performance.now();
  const child = spawn(program, rest, {
    env: { ...(options.env ?? loginEnvironment(user)) },
    cwd: options.cwd ?? user.home,
    detached: true,
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  if (child.stdin !== null) {
    child.stdin.on("error", () => {}); // a program may end without reading its input
    child.stdin.end(options.input);
  }

  const chunks: Chunk[] = [];
  const streams = { stdout: child.stdout, stderr: child.stderr };
  for (const name of ["stdout", "stderr"] as const) {
    streams[name]?.setEncoding("utf8");
    streams[name]?.on("data", (text: string) => {
      chunks.push({ stream: name, text, atMilliseconds: performance.now() - startedAt });
    });
  }
  function output(stream: "stdout" | "stderr"): string {
    return chunks
      .filter((chunk) => chunk.stream === stream)
      .map((chunk) => chunk.text)
      .join("");
  }

  const { pid } = child;
  if (pid !== undefined) {
    groups.add(pid);
    child.once("close", () => groups.delete(pid));
  }
  return {
    pid: pid ?? -1,
    startedAtMilliseconds: performance.timeOrigin + startedAt,
    chunks,
    stdout: () => output("stdout"),
    stderr: () => output("stderr"),
    kill: (signal) => child.kill(signal),
    killGroup: (signal) => pid !== undefined && signalGroup(pid, signal),
    until: (text, timeoutSeconds = 30) => until(child, chunks, text, timeoutSeconds),
    closeOutput: () => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
    done: ended(child, startedAt, output),
  };
}

function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

function ended(
  child: ChildProcess,
  startedAt: number,
  output: (stream: "stdout" | "stderr") => string,
): Promise<Ended> {
  return new Promise((resolve) => {
    let exitedAfterMilliseconds = 0;
    let failure = "";
    child.once("error", (error) => {
      failure = `${error.message}\n`;
    });
    child.once("exit", () => {
      exitedAfterMilliseconds = performance.now() - startedAt;
    });
    child.once("close", (exitCode, signal) => {
      resolve({
        // A program that is not there: the code that a shell gives, and why.
        exitCode: failure === "" ? (exitCode ?? undefined) : 127,
        signal: signal ?? undefined,
        stdout: output("stdout"),
        stderr: failure + output("stderr"),
        durationMilliseconds: performance.now() - startedAt,
        exitedAfterMilliseconds,
        timedOut: false,
      });
    });
  });
}

function until(child: ChildProcess, chunks: readonly Chunk[], text: string, timeoutSeconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    function seen(): string {
      return chunks.map((chunk) => chunk.text).join("");
    }
    function look(): void {
      if (seen().includes(text)) finish();
    }
    function closed(): void {
      finish(new Error(`The program ended without printing ${JSON.stringify(text)}. It printed:\n${seen()}`));
    }
    function finish(error?: Error): void {
      clearTimeout(timer);
      child.stdout?.off("data", look);
      child.stderr?.off("data", look);
      child.off("close", closed);
      if (error === undefined) resolve();
      else reject(error);
    }
    const timer = setTimeout(() => {
      finish(new Error(`No ${JSON.stringify(text)} within ${timeoutSeconds} s. The program printed:\n${seen()}`));
    }, timeoutSeconds * 1000);
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
    child.once("close", closed);
    if (child.exitCode !== null || child.signalCode !== null) {
      setTimeout(() => (seen().includes(text) ? finish() : undefined), 50);
    }
    look();
  });
}

/** The path of a file of this checkout. */
export function checkout(...path: readonly string[]): string {
  return join(import.meta.dirname, "..", "..", ...path);
}
