import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheKey } from "./cache-plan.ts";
import { type ConfigOutput, readConfigOutput } from "./config-output.ts";
import { buildFailureExitCode, callDriver, type StageOutcome, systemFailureExitCode } from "./driver-stage.ts";
import { goDuration } from "./duration.ts";
import type { ImageDefinition } from "./image-definition.ts";
import { jobResponse, jobServices, namedImages } from "./job-response.ts";
import { type Directories, runnerVariables, serverVariables } from "./job-variables.ts";
import type { Failure, JobWorld } from "./job-world.ts";
import type { ScriptContext } from "./script.ts";
import { expandValue, type Variable, valueOf } from "./variables.ts";

const prepareAttempts = 3;
const cleanupSeconds = 3600;

/** What is known once the config stage went well. */
export interface Prepared {
  readonly config: ConfigOutput;
  readonly directories: Directories;
  readonly cacheDir: string;
}

export interface StageOptions {
  /** Stops this stage alone; `JobDriver.abort` stops any. */
  readonly stop?: AbortSignal;
  /** Takes the stage's standard output in place of the log. */
  readonly onStdout?: (chunk: Buffer) => void;
}

/**
 * The driver as one job sees it: the contract of the custom executor's four calls, with its temporary directory, its
 * environment and its job response file (facts/gitlab-runner.md, 1.1 to 1.5).
 */
export class JobDriver {
  readonly #world: JobWorld;
  readonly #image: ImageDefinition | undefined;
  readonly #services: readonly ImageDefinition[];
  readonly #build = new AbortController();
  #attemptDir = "";
  #config: ConfigOutput | undefined;
  #prepared: Prepared | undefined;
  /** The job's variables as GitLab's server would send them. */
  readonly server: readonly Variable[];
  /** What `$CI_JOB_STATUS` says. */
  jobStatus = "running";

  constructor(world: JobWorld) {
    this.#world = world;
    const { facts } = world;
    this.server = serverVariables(facts);
    ({ image: this.#image, services: this.#services } = namedImages(facts, this.server));
  }

  /** Ends the job: the running stage is stopped, and no other starts. */
  abort(why: "canceled" | "timeout"): void {
    this.#build.abort(why);
  }

  /** Fires when the job was aborted. */
  get abortSignal(): AbortSignal {
    return this.#build.signal;
  }

  /**
   * Config and prepare, up to three times with a clean-up between. Returns why it did not work, cleaned up already.
   */
  async prepare(): Promise<Failure | undefined> {
    const { log, waits } = this.#world;
    log.title('Preparing the "custom" executor');
    for (let attempt = 1; ; attempt += 1) {
      const failure = this.aborted() ?? (await this.#guardedPrepare());
      if (failure === undefined) return undefined;
      await this.cleanup();
      // A driver that exits with 1 when it is canceled has its job shown as failed, not as canceled.
      if (failure.kind === "script") return failure;
      const aborted = this.aborted();
      if (aborted !== undefined) return aborted;
      if (failure.kind !== "system" || attempt === prepareAttempts) return failure;
      log.error(`Preparation failed: ${failure.message}`);
      log.info(`Will be retried in ${waits.prepare}s ...`);
      await sleep(waits.prepare * 1000, undefined, { signal: this.#build.signal }).catch(() => undefined);
    }
  }

  async #guardedPrepare(): Promise<Failure | undefined> {
    try {
      return await this.#prepareOnce();
    } catch (error) {
      return { kind: "system", message: error instanceof Error ? error.message : String(error) };
    }
  }

  async #prepareOnce(): Promise<Failure | undefined> {
    const { log, temporaryDir } = this.#world;
    this.#config = undefined;
    this.#prepared = undefined;
    this.#attemptDir = await mkdtemp(join(temporaryDir, "custom-executor"));
    await writeFile(join(this.#attemptDir, "response.json"), await this.#response(), { mode: 0o600 });

    const output: Buffer[] = [];
    const stop = this.#build.signal;
    const configured = await this.#call(["config", "--configuration", this.#world.configuration], {
      stop,
      onStdout: (chunk) => void output.push(chunk),
    });
    if (configured.kind !== "ok") return configured;
    const config = readConfigOutput(Buffer.concat(output).toString("utf8"));
    if ("problem" in config) return { kind: "system", message: config.problem };
    this.#config = config;
    const version = config.driverVersion === undefined ? "" : ` ${config.driverVersion}`;
    const driver = config.driverName === undefined ? "" : ` with driver ${config.driverName}${version}`;
    log.line(`Using Custom executor${driver}...`);
    const prepared = this.#startBuild(config);
    if ("kind" in prepared) return prepared;
    this.#prepared = prepared;
    const outcome = await this.#call(["prepare"], { stop });
    return outcome.kind === "ok" ? undefined : outcome;
  }

  /** Fixes the directories, with the runner's own complaints. */
  #startBuild(config: ConfigOutput): Prepared | Failure {
    const { facts } = this.#world;
    const refuse = (message: string): Failure => ({ kind: "script", exitCode: buildFailureExitCode, message });
    const { buildsDir, cacheDir, shell } = config;
    if (buildsDir === "") return refuse("the builds_dir is not configured");
    if (cacheDir === "") return refuse("the cache_dir is not configured");
    if (shell !== "bash" && shell !== "sh") return { kind: "system", message: `shell ${shell} not found` };
    if (valueOf(this.server, "GIT_CLONE_PATH") !== "") {
      return refuse("setting GIT_CLONE_PATH is not allowed, enable `custom_build_dir` feature");
    }
    const suffix = valueOf(this.server, "GIT_STRATEGY") === "empty" ? "-empty" : "";
    const project = `${facts.pipeline.projectPath}${suffix}`;
    const slot = config.buildsDirIsShared ? `${facts.pipeline.runner.shortToken}/${facts.concurrentId}/` : "";
    return {
      config,
      directories: { buildsDir, projectDir: `${buildsDir}/${slot}${project}` },
      cacheDir: `${cacheDir}/${project}`,
    };
  }

  /** The clean-up, which no cancel reaches. Its standard output is not shown anywhere, as with the runner. */
  async cleanup(): Promise<void> {
    if (this.#attemptDir === "") return;
    const { log, diagnose, facts } = this.#world;
    let partial = "";
    const outcome = await this.#call(["cleanup", "--configuration", this.#world.configuration], {
      // No cancel and no job timeout reaches the clean-up.
      stop: AbortSignal.timeout(cleanupSeconds * 1000),
      onStdout: () => undefined,
      onStderr: (chunk) => {
        const lines = (partial + chunk.toString("utf8")).split("\n");
        partial = lines.pop() ?? "";
        for (const line of lines) diagnose(`WARNING: cleanup of ${facts.job.name}: ${line}`);
      },
    });
    if (partial !== "") diagnose(`WARNING: cleanup of ${facts.job.name}: ${partial}`);
    if (outcome.kind !== "ok") log.warning(`Cleanup script failed: ${outcome.message}`);
    await rm(this.#attemptDir, { recursive: true, force: true });
    this.#attemptDir = "";
  }

  /** One stage of the job: a script, written only now, and a call of the driver with it. Undefined when it went well. */
  async stage(
    name: string,
    title: string,
    write: (context: ScriptContext) => string,
    options: StageOptions = {},
  ): Promise<Failure | undefined> {
    const aborted = this.aborted();
    if (aborted !== undefined) return aborted;
    if (options.stop?.aborted === true) return { kind: "canceled" };
    const { log } = this.#world;
    log.title(title);
    const directory = await mkdtemp(join(this.#attemptDir, "script"));
    const file = join(directory, "script");
    await writeFile(file, write(this.context()), { mode: 0o700 });
    const stop = AbortSignal.any([this.#build.signal, ...(options.stop === undefined ? [] : [options.stop])]);
    const outcome = await this.#call(["run", file, name], { ...options, stop });
    if (stop.aborted && stop.reason === "timeout") {
      log.warning(`${name} could not run to completion because the timeout was exceeded.`);
    }
    return this.aborted() ?? (outcome.kind === "ok" ? undefined : outcome);
  }

  async #call(
    args: readonly string[],
    options: { stop: AbortSignal; onStdout?: (chunk: Buffer) => void; onStderr?: (chunk: Buffer) => void },
  ): Promise<StageOutcome> {
    const { driver, environment, gracefulTimeoutSeconds, log } = this.#world;
    const [stdout, stderr] = [log.stream(), log.stream()];
    const buildExitCodeFile = join(this.#attemptDir, "build_exit_code");
    const variables = this.#variables();
    const custom = variables.map((one) => [`CUSTOM_ENV_${one.key}`, one.value] as const);
    const services = jobServices(this.#services, (own, value) =>
      expandValue(value, [...variables, ...own], `${this.#prepared?.directories.projectDir ?? ""}.tmp`),
    );
    const outcome = await callDriver({
      argv: [...driver, ...args],
      env: {
        ...environment,
        TMPDIR: this.#attemptDir,
        BUILD_FAILURE_EXIT_CODE: String(buildFailureExitCode),
        SYSTEM_FAILURE_EXIT_CODE: String(systemFailureExitCode),
        BUILD_EXIT_CODE_FILE: buildExitCodeFile,
        JOB_RESPONSE_FILE: join(this.#attemptDir, "response.json"),
        ...this.#config?.jobEnv,
        ...Object.fromEntries(custom),
        CUSTOM_ENV_CI_JOB_SERVICES: services,
      },
      cwd: this.#attemptDir,
      buildExitCodeFile,
      onStdout: options.onStdout ?? ((chunk) => stdout.write(chunk)),
      onStderr: options.onStderr ?? ((chunk) => stderr.write(chunk)),
      stop: options.stop,
      gracefulTimeoutSeconds,
    });
    stdout.end();
    stderr.end();
    return outcome;
  }

  #variables(): Variable[] {
    const { facts } = this.#world;
    return runnerVariables(facts, this.server, this.#image?.name ?? "", this.jobStatus, this.#prepared?.directories);
  }

  /** What the scripts of the stages are written with. */
  context(): ScriptContext {
    const projectDir = this.#prepared?.directories.projectDir ?? "";
    return { variables: this.#variables(), projectDir, temporaryDir: `${projectDir}.tmp` };
  }

  async #response(): Promise<string> {
    const { facts, dependencies, readProjectFile } = this.#world;
    return jobResponse({
      facts,
      server: this.server,
      image: this.#image,
      services: this.#services,
      cacheKeys: facts.job.caches.map((cache) => cacheKey(cache, readProjectFile)),
      dependencies,
      depth: this.depth(),
      allowGitFetch: valueOf(this.server, "GIT_STRATEGY") !== "clone",
    });
  }

  /** GIT_DEPTH: how many commits; 0 for all. */
  depth(): number {
    const depth = Number.parseInt(valueOf(this.server, "GIT_DEPTH") || "20", 10);
    return Number.isNaN(depth) || depth < 0 ? 20 : depth;
  }

  /** What config said; undefined before it did. */
  get prepared(): Prepared | undefined {
    return this.#prepared;
  }

  /** Why the job was aborted; undefined when it was not. */
  aborted(): Failure | undefined {
    const { signal } = this.#build;
    if (!signal.aborted) return undefined;
    return signal.reason === "timeout" ? { kind: "timeout", message: this.timeoutMessage() } : { kind: "canceled" };
  }

  timeoutMessage(): string {
    return `execution took longer than ${goDuration(this.#world.facts.timeoutSeconds)} seconds`;
  }
}
