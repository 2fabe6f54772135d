import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheKey, type PlannedCache, planCache } from "./cache-plan.ts";
import { type ConfigOutput, readConfigOutput } from "./config-output.ts";
import { buildFailureExitCode, callDriver, type StageOutcome, systemFailureExitCode } from "./driver-stage.ts";
import { goDuration, parseGoDuration } from "./duration.ts";
import type { ImageDefinition, When } from "./job-definition.ts";
import type { JobLog } from "./job-log.ts";
import { type Dependency, jobResponse, jobServices } from "./job-response.ts";
import { type Directories, type JobFacts, repositoryUrl, runnerVariables, serverVariables } from "./job-variables.ts";
import { payloadMarkers, PayloadStream, type Received } from "./payload-stream.ts";
import type { ScriptContext } from "./script.ts";
import { inlineLimitBytes, mebibytes, type Sources } from "./sources.ts";
import * as scripts from "./stage-scripts.ts";
import { expandValue, type Variable, valueOf } from "./variables.ts";

/** Artifacts that a job left, as a `tar.gz` file. */
export interface StoredArtifacts {
  readonly file: string;
  readonly bytes: number;
}

/** How a job ended, with the reason that GitLab would show. */
export type JobResult =
  | { readonly status: "success"; readonly artifacts: StoredArtifacts | undefined }
  | {
      readonly status: "failed";
      readonly reason: "script_failure" | "runner_system_failure" | "job_execution_timeout";
      readonly exitCode: number | undefined;
      readonly artifacts: StoredArtifacts | undefined;
    }
  | { readonly status: "canceled"; readonly artifacts: StoredArtifacts | undefined };

/** An earlier job whose artifacts this one gets. */
export interface JobDependency extends Dependency {
  readonly file: string;
}

export interface JobWorld {
  readonly facts: JobFacts;
  /** The driver's program and the arguments that come before those of a stage. */
  readonly driver: readonly [string, ...string[]];
  readonly configuration: string;
  /** What the driver processes inherit, as they would from the runner's service. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where the runner would put its temporary directories. */
  readonly temporaryDir: string;
  readonly log: JobLog;
  /** What would go to the runner's own log: the driver's messages while it cleans up. */
  readonly diagnose: (text: string) => void;
  /** Fires when the user cancels the job, as in GitLab's user interface. */
  readonly cancel: AbortSignal;
  /** Fires when the user insists. */
  readonly forceCancel: AbortSignal;
  readonly gracefulTimeoutSeconds: number;
  readonly dependencies: readonly JobDependency[];
  /** Where the job's artifacts are to be put. */
  readonly artifactsFile: string;
  readonly sources: (depth: number) => Promise<Sources | undefined>;
  /** Reads a file of the project for a cache key that is made from files. */
  readonly readProjectFile: (path: string) => Buffer | undefined;
  /** Seconds to wait before another attempt to prepare, and before a stage is tried again. */
  readonly waits: { readonly prepare: number; readonly stage: number };
}

type Failure =
  | Exclude<StageOutcome, { kind: "ok" }>
  | { readonly kind: "canceled" }
  | { readonly kind: "timeout"; readonly message: string };

const prepareAttempts = 3;
const afterScriptSeconds = 300;
const cleanupSeconds = 3600;
const uploadLimitBytes = 100 * 1024 * 1024;

/**
 * Runs one job as GitLab Runner's custom executor does: response file, config, prepare (up to three times), the stages
 * in their order, cleanup in any case (facts/gitlab-runner.md, 1.1 to 1.9).
 */
export async function runJob(world: JobWorld): Promise<JobResult> {
  return new JobRun(world).run();
}

/** What is known once config and prepare went well. */
interface Prepared {
  readonly config: ConfigOutput;
  readonly directories: Directories;
  readonly cacheDir: string;
}

class JobRun {
  readonly #world: JobWorld;
  readonly #server: readonly Variable[];
  readonly #image: ImageDefinition | undefined;
  readonly #services: readonly ImageDefinition[];
  readonly #build = new AbortController();
  readonly #script = new AbortController();
  #inScriptPhase = false;
  #jobStatus = "running";
  #attemptDir = "";
  #config: ConfigOutput | undefined;
  #prepared: Prepared | undefined;
  #artifacts: StoredArtifacts | undefined;

  constructor(world: JobWorld) {
    this.#world = world;
    const { facts } = world;
    this.#server = serverVariables(facts);
    // The name is expanded before the directories are known, with all other variables.
    const known = runnerVariables(facts, this.#server, facts.job.image?.name ?? "", "running", undefined);
    const expand = (text: string) => expandValue(text, known, ".tmp");
    this.#image =
      facts.job.image === undefined ? undefined : { ...facts.job.image, name: expand(facts.job.image.name) };
    this.#services = facts.job.services.map((one) => ({
      ...one,
      name: expand(one.name),
      ...(one.alias === undefined ? {} : { alias: expand(one.alias) }),
    }));
  }

  async run(): Promise<JobResult> {
    const { log, facts, cancel, forceCancel } = this.#world;
    log.line(`Running with jacamar try ${facts.pipeline.runner.version}`);
    log.line(`  on ${facts.pipeline.runner.description} ${facts.pipeline.runner.shortToken}`);
    const onCancel = () => (this.#inScriptPhase ? this.#script : this.#build).abort("canceled");
    const onForce = () => this.#build.abort("canceled");
    const timer = setTimeout(() => this.#build.abort("timeout"), facts.timeoutSeconds * 1000);
    if (cancel.aborted) onCancel();
    cancel.addEventListener("abort", onCancel);
    forceCancel.addEventListener("abort", onForce);
    let failure: Failure | undefined;
    try {
      failure = await this.#prepareWithAttempts();
      if (failure === undefined) {
        failure = await this.#stages();
        failure = this.#aborted() ?? failure;
        await this.#cleanup();
      }
    } finally {
      clearTimeout(timer);
      cancel.removeEventListener("abort", onCancel);
      forceCancel.removeEventListener("abort", onForce);
    }
    return this.#finish(failure);
  }

  #finish(failure: Failure | undefined): JobResult {
    const { log } = this.#world;
    const artifacts = this.#artifacts;
    if (failure === undefined) {
      log.info("Job succeeded");
      return { status: "success", artifacts };
    }
    if (failure.kind === "canceled") {
      log.error("Job failed: canceled");
      return { status: "canceled", artifacts };
    }
    log.error(`Job failed${failure.kind === "system" ? " (system failure)" : ""}: ${failure.message}`);
    if (failure.kind === "script") {
      return { status: "failed", reason: "script_failure", exitCode: failure.exitCode, artifacts };
    }
    const reason = failure.kind === "system" ? "runner_system_failure" : "job_execution_timeout";
    return { status: "failed", reason, exitCode: undefined, artifacts };
  }

  // --- config and prepare ---

  async #prepareWithAttempts(): Promise<Failure | undefined> {
    const { log, waits } = this.#world;
    log.title('Preparing the "custom" executor');
    for (let attempt = 1; ; attempt += 1) {
      const failure = this.#aborted() ?? (await this.#prepare());
      if (failure === undefined) return undefined;
      if (this.#attemptDir !== "") await this.#cleanup();
      const aborted = this.#aborted();
      if (aborted !== undefined) return aborted;
      if (failure.kind !== "system" || attempt === prepareAttempts) return failure;
      log.error(`Preparation failed: ${failure.message}`);
      log.info(`Will be retried in ${waits.prepare}s ...`);
      await sleep(waits.prepare * 1000, undefined, { signal: this.#build.signal }).catch(() => undefined);
    }
  }

  async #prepare(): Promise<Failure | undefined> {
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
    const { driver } = config;
    const version = driver?.version === undefined ? "" : ` ${driver.version}`;
    log.line(`Using Custom executor${driver?.name === undefined ? "" : ` with driver ${driver.name}${version}`}...`);
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
    const buildsDir = config.builds_dir ?? "";
    if (buildsDir === "") return refuse("the builds_dir is not configured");
    if ((config.cache_dir ?? "") === "") return refuse("the cache_dir is not configured");
    if (config.shell !== undefined && config.shell !== "bash" && config.shell !== "sh") {
      return { kind: "system", message: `shell ${config.shell} not found` };
    }
    if (valueOf(this.#server, "GIT_CLONE_PATH") !== "") {
      return refuse("setting GIT_CLONE_PATH is not allowed, enable `custom_build_dir` feature");
    }
    const suffix = valueOf(this.#server, "GIT_STRATEGY") === "empty" ? "-empty" : "";
    const project = `${facts.pipeline.projectPath}${suffix}`;
    const slot = config.builds_dir_is_shared ? `${facts.pipeline.runner.shortToken}/${facts.concurrentId}/` : "";
    return {
      config,
      directories: { buildsDir, projectDir: `${buildsDir}/${slot}${project}` },
      cacheDir: `${config.cache_dir ?? ""}/${project}`,
    };
  }

  async #cleanup(): Promise<void> {
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
  }

  // --- the stages ---

  async #stages(): Promise<Failure | undefined> {
    const prepared = this.#prepared;
    if (prepared === undefined) return { kind: "system", message: "the job was not prepared" };
    const environment = await this.#stage("prepare_script", "Preparing environment", (context) =>
      scripts.prepareScript(context, prepared.config.hostname),
    );
    if (environment !== undefined) {
      if (environment.kind === "canceled" || environment.kind === "timeout") return environment;
      return { ...environment, message: `prepare environment: ${environment.message}` };
    }
    const caches = this.#caches(prepared);
    let failure = await this.#getSources();
    failure ??= await this.#restoreCache(caches);
    failure ??= await this.#downloadArtifacts();
    failure ??= await this.#userScripts();
    const cacheFailure = await this.#archiveCache(caches, failure === undefined);
    const uploadFailure = await this.#uploadArtifacts(failure === undefined);
    const cleaned = await this.#stage(
      "cleanup_file_variables",
      "Cleaning up project directory and file based variables",
      scripts.cleanupFileVariables,
    );
    if (cleaned !== undefined && "message" in cleaned) {
      this.#world.diagnose(`WARNING: Error while executing file based variables removal script: ${cleaned.message}`);
    }
    return failure ?? cacheFailure ?? uploadFailure;
  }

  async #getSources(): Promise<Failure | undefined> {
    const { facts } = this.#world;
    const strategy = valueOf(this.#server, "GIT_STRATEGY") || "fetch";
    const title = "Getting source from Git repository";
    if (!["fetch", "clone", "none", "empty"].includes(strategy)) {
      return { kind: "system", message: `unknown GIT_STRATEGY "${strategy}"` };
    }
    const depth = this.#depth();
    const sources = strategy === "none" || strategy === "empty" ? undefined : await this.#world.sources(depth);
    return this.#attempts("GET_SOURCES_ATTEMPTS", async (attempt) => {
      if (attempt === 2) {
        const clear = "Deleting all tracked and untracked files due to source fetch failure";
        const failure = await this.#stage("clear_worktree", clear, scripts.clearWorktree);
        if (failure !== undefined) return failure;
      }
      return this.#stage("get_sources", title, (context) =>
        scripts.getSources(context, sources, {
          strategy,
          depth,
          repositoryUrl: repositoryUrl(facts, { withToken: false }),
          preGetSources: facts.job.preGetSources,
        }),
      );
    });
  }

  async #restoreCache(caches: readonly JobCache[]): Promise<Failure | undefined> {
    const plans = caches.filter(({ planned }) => planned.pull).map(({ planned }) => planned.plan);
    if (plans.length === 0) return undefined;
    for (const warning of caches.flatMap(({ planned }) => planned.warnings)) this.#world.log.warning(warning);
    return this.#attempts("RESTORE_CACHE_ATTEMPTS", () =>
      this.#stage("restore_cache", "Restoring cache", (context) => scripts.restoreCache(context, plans)),
    );
  }

  async #downloadArtifacts(): Promise<Failure | undefined> {
    const wanted = this.#world.dependencies.filter((one) => one.bytes > 0);
    if (wanted.length === 0) return undefined;
    const bytes = wanted.reduce((sum, one) => sum + one.bytes, 0);
    if (bytes > inlineLimitBytes) {
      const message = `the artifacts of ${wanted.map((one) => one.name).join(", ")} take ${mebibytes(bytes)}, but no more than ${mebibytes(inlineLimitBytes)} can travel in a script`;
      return { kind: "script", exitCode: buildFailureExitCode, message };
    }
    const downloads = await Promise.all(
      wanted.map(async ({ name, id, file }) => ({ job: name, id, base64: (await readFile(file)).toString("base64") })),
    );
    return this.#attempts("ARTIFACT_DOWNLOAD_ATTEMPTS", () =>
      this.#stage("download_artifacts", "Downloading artifacts", (context) =>
        scripts.downloadArtifacts(context, downloads),
      ),
    );
  }

  async #userScripts(): Promise<Failure | undefined> {
    const { facts, log } = this.#world;
    this.#inScriptPhase = true;
    const scriptTimer = this.#timer(this.#script, "RUNNER_SCRIPT_TIMEOUT", undefined);
    let failure = await this.#stage(
      "build_script",
      'Executing "step_script" stage of the job script',
      (context) => scripts.userScript(context, facts.job.script),
      this.#script.signal,
    );
    clearTimeout(scriptTimer);
    if (!this.#build.signal.aborted && this.#script.signal.aborted) {
      if (this.#script.signal.reason === "canceled") {
        log.warning("script canceled externally (UI, API)");
        failure = { kind: "canceled" };
      } else failure = { kind: "timeout", message: this.#timeoutMessage() };
    }
    this.#jobStatus = statusOf(this.#aborted() ?? failure);
    if (facts.job.afterScript.length === 0) return failure;
    const after = new AbortController();
    const afterTimer = this.#timer(after, "RUNNER_AFTER_SCRIPT_TIMEOUT", afterScriptSeconds);
    const afterFailure = await this.#stage(
      "after_script",
      "Running after_script",
      (context) => scripts.afterScript(context, facts.job.afterScript),
      after.signal,
    );
    clearTimeout(afterTimer);
    if (afterFailure === undefined || this.#build.signal.aborted) return failure;
    if (/^(?:false|0)$/i.test(valueOf(this.#server, "AFTER_SCRIPT_IGNORE_ERRORS"))) return failure ?? afterFailure;
    const message = "message" in afterFailure ? afterFailure.message : "canceled";
    log.warning(`after_script failed, but job will continue unaffected: ${message}`);
    return failure;
  }

  async #archiveCache(caches: readonly JobCache[], onSuccess: boolean): Promise<Failure | undefined> {
    const due = caches.filter(({ when }) => isDue(when, onSuccess));
    if (due.length === 0) return undefined;
    const notes = due
      .filter(({ planned }) => !planned.push)
      .map(({ planned }) => `Not uploading cache ${planned.plan.keys[0]?.key ?? ""} due to policy`);
    const plans = due.filter(({ planned }) => planned.push).map(({ planned }) => planned.plan);
    return this.#stage(
      onSuccess ? "archive_cache" : "archive_cache_on_failure",
      onSuccess ? "Saving cache for successful job" : "Saving cache for failed job",
      (context) => scripts.archiveCache(context, plans, notes),
    );
  }

  async #uploadArtifacts(onSuccess: boolean): Promise<Failure | undefined> {
    const { facts, artifactsFile, log } = this.#world;
    const own = facts.job.artifacts;
    if (own === undefined || !isDue(own.when, onSuccess) || (own.paths.length === 0 && !own.untracked))
      return undefined;
    const context = this.#context();
    const expand = (text: string) => expandValue(text, context.variables, context.temporaryDir);
    const artifacts = { ...own, paths: own.paths.map(expand), exclude: own.exclude.map(expand) };
    const markers = payloadMarkers(randomBytes(16).toString("hex"));
    const stream = log.stream();
    const payload = new PayloadStream(markers, artifactsFile, uploadLimitBytes, (chunk) => stream.write(chunk));
    const failure = await this.#stage(
      onSuccess ? "upload_artifacts_on_success" : "upload_artifacts_on_failure",
      onSuccess ? "Uploading artifacts for successful job" : "Uploading artifacts for failed job",
      (script) => scripts.uploadArtifacts(script, artifacts, markers),
      undefined,
      (chunk) => payload.write(chunk),
    );
    const received = payload.end();
    stream.end();
    return failure ?? this.#store(received);
  }

  #store(received: Received): Failure | undefined {
    const { artifactsFile, log } = this.#world;
    if (received === "none") return undefined;
    if (received === "too large") {
      const message = `the artifacts are larger than ${mebibytes(uploadLimitBytes)}`;
      return { kind: "script", exitCode: buildFailureExitCode, message };
    }
    if (received === "incomplete") return { kind: "system", message: "the artifacts did not arrive whole" };
    this.#artifacts = { file: artifactsFile, bytes: received.bytes };
    log.line(`Artifacts are kept for the jobs that follow: ${received.bytes} bytes`);
    return undefined;
  }

  // --- what the stages share ---

  async #stage(
    name: string,
    title: string,
    write: (context: ScriptContext) => string,
    ownStop?: AbortSignal,
    onStdout?: (chunk: Buffer) => void,
  ): Promise<Failure | undefined> {
    const aborted = this.#aborted();
    if (aborted !== undefined) return aborted;
    if (ownStop?.aborted === true) return { kind: "canceled" };
    const { log } = this.#world;
    log.title(title);
    const directory = await mkdtemp(join(this.#attemptDir, "script"));
    const file = join(directory, "script");
    await writeFile(file, write(this.#context()), { mode: 0o700 });
    const stop = ownStop === undefined ? this.#build.signal : AbortSignal.any([this.#build.signal, ownStop]);
    const outcome = await this.#call(["run", file, name], { stop, ...(onStdout === undefined ? {} : { onStdout }) });
    if (stop.aborted && stop.reason === "timeout") {
      log.warning(`${name} could not run to completion because the timeout was exceeded.`);
    }
    return this.#aborted() ?? (outcome.kind === "ok" ? undefined : outcome);
  }

  async #attempts(
    key: string,
    attempt: (number: number) => Promise<Failure | undefined>,
  ): Promise<Failure | undefined> {
    const { log, waits } = this.#world;
    const wanted = Number.parseInt(valueOf(this.#server, key), 10);
    const attempts = Math.min(10, Math.max(1, Number.isNaN(wanted) ? 1 : wanted));
    let wait = waits.stage;
    for (let number = 1; ; number += 1) {
      const failure = await attempt(number);
      if (failure === undefined || number >= attempts || this.#build.signal.aborted) return failure;
      log.warning(`Retrying in ${wait}s: ${"message" in failure ? failure.message : failure.kind}`);
      await sleep(wait * 1000, undefined, { signal: this.#build.signal }).catch(() => undefined);
      wait = Math.min(300, wait * 2);
    }
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
        ...this.#config?.job_env,
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
    return runnerVariables(facts, this.#server, this.#image?.name ?? "", this.#jobStatus, this.#prepared?.directories);
  }

  #context(): ScriptContext {
    const projectDir = this.#prepared?.directories.projectDir ?? "";
    return { variables: this.#variables(), projectDir, temporaryDir: `${projectDir}.tmp` };
  }

  async #response(): Promise<string> {
    const { facts, dependencies, readProjectFile } = this.#world;
    return jobResponse({
      facts,
      server: this.#server,
      image: this.#image,
      services: this.#services,
      cacheKeys: facts.job.caches.map((cache) => cacheKey(cache, readProjectFile)),
      dependencies,
      depth: this.#depth(),
      allowGitFetch: valueOf(this.#server, "GIT_STRATEGY") !== "clone",
    });
  }

  #depth(): number {
    const depth = Number.parseInt(valueOf(this.#server, "GIT_DEPTH") || "20", 10);
    return Number.isNaN(depth) || depth < 0 ? 20 : depth;
  }

  #caches(prepared: Prepared): JobCache[] {
    const { facts, readProjectFile } = this.#world;
    const context = this.#context();
    const expand = (text: string) => expandValue(text, context.variables, context.temporaryDir);
    const fallbackKey = valueOf(context.variables, "CACHE_FALLBACK_KEY");
    return facts.job.caches
      .filter((cache) => cache.paths.length > 0 || cache.untracked)
      .map((cache) => ({
        when: cache.when,
        planned: planCache(cache, {
          directory: prepared.cacheDir,
          expand,
          key: cacheKey(cache, readProjectFile),
          fallbackKey,
        }),
      }));
  }

  #aborted(): Failure | undefined {
    const { signal } = this.#build;
    if (!signal.aborted) return undefined;
    return signal.reason === "timeout" ? { kind: "timeout", message: this.#timeoutMessage() } : { kind: "canceled" };
  }

  #timeoutMessage(): string {
    return `execution took longer than ${goDuration(this.#world.facts.timeoutSeconds)} seconds`;
  }

  #timer(controller: AbortController, key: string, otherwise: number | undefined): NodeJS.Timeout | undefined {
    const text = valueOf(this.#variables(), key).trim();
    const seconds = text === "" ? undefined : parseGoDuration(text);
    if (text !== "" && seconds === undefined) this.#world.log.warning(`Ignoring malformed ${key} timeout: ${text}`);
    const chosen = seconds === undefined || seconds === 0 ? otherwise : seconds;
    return chosen === undefined ? undefined : setTimeout(() => controller.abort("timeout"), chosen * 1000);
  }
}

interface JobCache {
  readonly when: When;
  readonly planned: PlannedCache;
}

function isDue(when: When, onSuccess: boolean): boolean {
  return when === "always" || (when === "on_success") === onSuccess;
}

/** What `$CI_JOB_STATUS` says from after_script on. */
function statusOf(failure: Failure | undefined): string {
  if (failure === undefined) return "success";
  if (failure.kind === "canceled") return "canceled";
  return failure.kind === "timeout" ? "timedout" : "failed";
}
