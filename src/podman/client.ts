import { JacamarError, systemErrorCode } from "../error/error.ts";
import { type Captured, type CaptureOptions, capture } from "../process/capture.ts";
import type { Command, Ending, Environment } from "../process/command.ts";
import { type Followed, follow, type OutputPipes, type Sinks } from "../process/follow.ts";

/** The Podman of a user, with the surroundings in which the driver runs it. */
export class PodmanClient {
  readonly #program: string;
  readonly #environment: Environment;
  readonly #directory: string;

  /**
   * @param program `application_path`, or `podman` to be found on the PATH of the environment.
   * @param environment of a clean login of the user, with our `XDG_RUNTIME_DIR` and `TMPDIR`.
   * @param directory to start it in; one that the user can enter.
   */
  constructor(program: string, environment: Environment, directory: string) {
    this.#program = program;
    this.#environment = environment;
    this.#directory = directory;
  }

  /**
   * Runs a command and returns what it said. Throws `podman_missing` when Podman cannot be started.
   *
   * @param under a program that starts Podman, whose whole command line is added to its arguments.
   */
  async ask(
    args: readonly string[],
    options: CaptureOptions,
    under?: readonly [string, ...string[]],
  ): Promise<Captured> {
    const command = this.#command(args);
    try {
      return await capture(under ? { ...command, argv: [...under, ...command.argv] } : command, options);
    } catch (cause) {
      throw this.#missing(cause);
    }
  }

  /** Starts a long command whose output goes to the sinks. Throws `podman_missing` when Podman cannot be started. */
  async follow(args: readonly string[], pipes: OutputPipes, sinks: Sinks): Promise<Followed> {
    try {
      return await follow(this.#command(args), pipes, sinks);
    } catch (cause) {
      throw this.#missing(cause);
    }
  }

  #command(args: readonly string[]): Command {
    return { argv: [this.#program, ...args], environment: this.#environment, workingDirectory: this.#directory };
  }

  #missing(cause: unknown): JacamarError {
    const code = systemErrorCode(cause) ?? "unknown error";
    const where = this.#program.startsWith("/") ? "" : ` on the PATH ${this.#environment["PATH"] ?? "(empty)"}`;
    return new JacamarError("podman_missing", `Cannot start Podman as "${this.#program}"${where}: ${code}`, {
      hint: "The administrator sets its place with application_path in [general.podman].",
      cause,
    });
  }
}

/** Whether a program ended well. */
export function succeeded(ending: Ending): boolean {
  return "exitCode" in ending && ending.exitCode === 0;
}

/** Why a Podman that was asked has failed: its own last line, or that it was ended before it had said anything. */
export function failureText({ ending, stderr }: Pick<Captured, "ending" | "stderr">): string {
  if ("exitCode" in ending || stderr.trim() !== "") return lastLine(stderr);
  return ending.signal === "SIGKILL" ? "it did not answer in time" : `it was ended by ${ending.signal}`;
}

/** The last line that a failed Podman said, without its word "Error:" or the frame of its log; for messages of ours. */
export function lastLine(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const errors = lines.filter((line) => /^(?:Error|error):/.test(line));
  const line = errors.at(-1) ?? lines.at(-1) ?? "no message";
  return unframed(line.replace(/^[Ee]rror: /, "")).slice(0, 2000);
}

/** `time="…" level=error msg="…"`, as Podman's log has it when it fails before its own word is ready. */
function unframed(line: string): string {
  const quoted = /^time="[^"]*" level=(?:error|fatal) msg=("(?:[^"\\]|\\.)*")$/.exec(line.trimEnd())?.[1];
  if (quoted === undefined) return line;
  return quoted.slice(1, -1).replace(/\\(["\\])/g, "$1");
}
