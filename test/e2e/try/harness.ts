import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { start } from "../../../src/process/driver-process.ts";

/** A project with a pipeline, and directories for the fake driver. */
export class TryBench {
  readonly top = realpathSync(mkdtempSync(join(tmpdir(), "try-e2e-")));
  readonly project = join(this.top, "project");
  readonly home = join(this.top, "home");
  readonly #temporary = join(this.top, "tmp");

  constructor(pipeline: string, files: Readonly<Record<string, string>> = {}) {
    for (const directory of [this.project, this.home, this.#temporary]) mkdirSync(directory);
    this.write(".gitlab-ci.yml", pipeline);
    for (const [path, content] of Object.entries(files)) this.write(path, content);
  }

  write(path: string, content: string): void {
    mkdirSync(dirname(join(this.project, path)), { recursive: true });
    writeFileSync(join(this.project, path), content);
  }

  /** The stages that the driver was called for, in order. */
  calls(): string[] {
    return readFileSync(join(this.home, "calls"), "utf8").trim().split("\n");
  }

  /** What is left in the temporary directory. */
  leftOver(): string {
    return this.#temporary;
  }

  /** Starts `jacamar try`. `environment` goes to the fake driver as well. */
  start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): TryRun {
    return new TryRun(this.project, args, {
      PATH: process.env["PATH"] ?? "",
      HOME: this.home,
      FAKE_HOME: this.home,
      TMPDIR: this.#temporary,
      ...environment,
    });
  }

  async run(args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}): Promise<TryOutcome> {
    return this.start(args, environment).outcome;
  }

  remove(): void {
    rmSync(this.top, { recursive: true, force: true });
  }
}

export interface TryOutcome {
  readonly exitCode: number | string;
  /** Without colours. */
  readonly stdout: string;
  readonly raw: string;
  readonly stderr: string;
}

export class TryRun {
  readonly outcome: Promise<TryOutcome>;
  readonly #pid: number | undefined;
  #stdout = "";
  #stderr = "";
  #onOutput: () => void = () => undefined;

  constructor(cwd: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    const child = start([process.execPath, join(import.meta.dirname, "run-try.ts"), ...args], {
      cwd,
      env,
      stdin: "ignore",
      onStdout: (chunk) => {
        this.#stdout += chunk.toString();
        this.#onOutput();
      },
      onStderr: (chunk) => {
        this.#stderr += chunk.toString();
      },
    });
    this.#pid = child.pid;
    this.outcome = child.ended.then((end) => ({
      exitCode: "notStarted" in end ? end.notStarted : (end.exitCode ?? end.signal),
      raw: this.#stdout,
      stdout: stripVTControlCharacters(this.#stdout),
      stderr: this.#stderr,
    }));
  }

  /** Waits until the log shows the text. */
  async shows(text: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onOutput = () => {
      if (this.#stdout.includes(text)) resolve();
    };
    this.#onOutput();
    const ended = await Promise.race([promise, this.outcome]);
    if (ended !== undefined && !this.#stdout.includes(text)) {
      throw new Error(`it ended without showing "${text}":\n${ended.stdout}\n${ended.stderr}`);
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#pid !== undefined) process.kill(this.#pid, signal);
  }
}
