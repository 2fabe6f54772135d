import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { cacheKey, type PlannedCache, planCache } from "./cache-plan.ts";
import { buildFailureExitCode } from "./driver-stage.ts";
import { parseGoDuration } from "./duration.ts";
import type { When } from "./storage-definition.ts";
import { JobDriver, type Prepared } from "./job-driver.ts";
import { repositoryUrl } from "./job-variables.ts";
import type { Failure, JobResult, JobWorld, StoredArtifacts } from "./job-world.ts";
import { PayloadStream, payloadMarkers, type Received } from "./payload-stream.ts";
import { inlineLimitBytes, mebibytes } from "./sources.ts";
import * as scripts from "./stage-scripts.ts";
import { expandValue, valueOf } from "./variables.ts";

const afterScriptSeconds = 300;
const uploadLimitBytes = 100 * 1024 * 1024;

/**
 * Runs one job as GitLab Runner's custom executor does: response file, config, prepare (up to three times), the stages
 * in their order, cleanup in any case (facts/gitlab-runner.md, 1.1 to 1.9).
 */
export async function runJob(world: JobWorld): Promise<JobResult> {
  return new JobRun(world).run();
}

/** The stages of one job, in the runner's order, and what each failure leads to. */
class JobRun {
  readonly #world: JobWorld;
  readonly #driver: JobDriver;
  readonly #script = new AbortController();
  #inScriptPhase = false;
  #artifacts: StoredArtifacts | undefined;

  constructor(world: JobWorld) {
    this.#world = world;
    this.#driver = new JobDriver(world);
  }

  async run(): Promise<JobResult> {
    const { log, facts, cancel, forceCancel } = this.#world;
    log.line(`Running with jacamar try ${facts.pipeline.runner.version}`);
    log.line(`  on ${facts.pipeline.runner.description} ${facts.pipeline.runner.shortToken}`);
    const onCancel = () => (this.#inScriptPhase ? this.#script : this.#driver).abort("canceled");
    const onForce = () => this.#driver.abort("canceled");
    const timer = setTimeout(() => this.#driver.abort("timeout"), facts.timeoutSeconds * 1000);
    if (cancel.aborted) onCancel();
    cancel.addEventListener("abort", onCancel);
    forceCancel.addEventListener("abort", onForce);
    let failure: Failure | undefined;
    try {
      failure = await this.#driver.prepare();
      if (failure === undefined) {
        failure = await this.#guardedStages();
        failure = this.#driver.aborted() ?? failure;
        await this.#driver.cleanup();
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
  /** An error of our own, such as a full disk, must not keep the driver from cleaning up. */
  async #guardedStages(): Promise<Failure | undefined> {
    try {
      return await this.#stages();
    } catch (error) {
      return { kind: "system", message: error instanceof Error ? error.message : String(error) };
    }
  }

  async #stages(): Promise<Failure | undefined> {
    const prepared = this.#driver.prepared;
    if (prepared === undefined) return { kind: "system", message: "the job was not prepared" };
    const environment = await this.#driver.stage("prepare_script", "Preparing environment", (context) =>
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
    const cleaned = await this.#driver.stage(
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
    const strategy = valueOf(this.#driver.server, "GIT_STRATEGY") || "fetch";
    const title = "Getting source from Git repository";
    if (!["fetch", "clone", "none", "empty"].includes(strategy)) {
      return { kind: "system", message: `unknown GIT_STRATEGY "${strategy}"` };
    }
    const depth = this.#driver.depth();
    const sources = strategy === "none" || strategy === "empty" ? undefined : await this.#world.sources(depth);
    return this.#attempts("GET_SOURCES_ATTEMPTS", async (attempt) => {
      if (attempt === 2) {
        const clear = "Deleting all tracked and untracked files due to source fetch failure";
        const failure = await this.#driver.stage("clear_worktree", clear, scripts.clearWorktree);
        if (failure !== undefined) return failure;
      }
      return this.#driver.stage("get_sources", title, (context) =>
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
      this.#driver.stage("restore_cache", "Restoring cache", (context) => scripts.restoreCache(context, plans)),
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
      this.#driver.stage("download_artifacts", "Downloading artifacts", (context) =>
        scripts.downloadArtifacts(context, downloads),
      ),
    );
  }

  async #userScripts(): Promise<Failure | undefined> {
    const { facts, log } = this.#world;
    this.#inScriptPhase = true;
    const scriptTimer = this.#timer(this.#script, "RUNNER_SCRIPT_TIMEOUT", undefined);
    let failure = await this.#driver.stage(
      "build_script",
      'Executing "step_script" stage of the job script',
      (context) => scripts.userScript(context, facts.job.script),
      { stop: this.#script.signal },
    );
    clearTimeout(scriptTimer);
    if (!this.#driver.abortSignal.aborted && this.#script.signal.aborted) {
      if (this.#script.signal.reason === "canceled") {
        log.warning("script canceled externally (UI, API)");
        failure = { kind: "canceled" };
      } else failure = { kind: "timeout", message: this.#driver.timeoutMessage() };
    }
    this.#driver.jobStatus = statusOf(this.#driver.aborted() ?? failure);
    if (facts.job.afterScript.length === 0) return failure;
    const after = new AbortController();
    const afterTimer = this.#timer(after, "RUNNER_AFTER_SCRIPT_TIMEOUT", afterScriptSeconds);
    const afterFailure = await this.#driver.stage(
      "after_script",
      "Running after_script",
      (context) => scripts.afterScript(context, facts.job.afterScript),
      { stop: after.signal },
    );
    clearTimeout(afterTimer);
    if (afterFailure === undefined || this.#driver.abortSignal.aborted) return failure;
    if (/^(?:false|0)$/i.test(valueOf(this.#driver.server, "AFTER_SCRIPT_IGNORE_ERRORS")))
      return failure ?? afterFailure;
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
    return this.#driver.stage(
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
    const context = this.#driver.context();
    const expand = (text: string) => expandValue(text, context.variables, context.temporaryDir);
    const artifacts = { ...own, paths: own.paths.map(expand), exclude: own.exclude.map(expand) };
    const markers = payloadMarkers(randomBytes(16).toString("hex"));
    const stream = log.stream();
    const payload = new PayloadStream(markers, artifactsFile, uploadLimitBytes, (chunk) => stream.write(chunk));
    const failure = await this.#driver.stage(
      onSuccess ? "upload_artifacts_on_success" : "upload_artifacts_on_failure",
      onSuccess ? "Uploading artifacts for successful job" : "Uploading artifacts for failed job",
      (script) => scripts.uploadArtifacts(script, artifacts, markers),
      { onStdout: (chunk) => payload.write(chunk) },
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
    if (typeof received === "object" && "problem" in received) return { kind: "system", message: received.problem };
    if (received === "incomplete") return { kind: "system", message: "the artifacts did not arrive whole" };
    this.#artifacts = { file: artifactsFile, bytes: received.bytes };
    log.line(`Artifacts are kept for the jobs that follow: ${received.bytes} bytes`);
    return undefined;
  }

  async #attempts(
    key: string,
    attempt: (number: number) => Promise<Failure | undefined>,
  ): Promise<Failure | undefined> {
    const { log, waits } = this.#world;
    const wanted = Number.parseInt(valueOf(this.#driver.server, key), 10);
    const attempts = Math.min(10, Math.max(1, Number.isNaN(wanted) ? 1 : wanted));
    let wait = waits.stage;
    for (let number = 1; ; number += 1) {
      const failure = await attempt(number);
      if (failure === undefined || number >= attempts || this.#driver.abortSignal.aborted) return failure;
      log.warning(`Retrying in ${wait}s: ${"message" in failure ? failure.message : failure.kind}`);
      await sleep(wait * 1000, undefined, { signal: this.#driver.abortSignal }).catch(() => undefined);
      wait = Math.min(300, wait * 2);
    }
  }

  #caches(prepared: Prepared): JobCache[] {
    const { facts, readProjectFile } = this.#world;
    const context = this.#driver.context();
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

  #timer(controller: AbortController, key: string, otherwise: number | undefined): NodeJS.Timeout | undefined {
    const text = valueOf(this.#driver.context().variables, key).trim();
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
