import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { throughDoor } from "./door.ts";
import { asUser, type Ended, type Running, startAsUser, type User } from "./machine.ts";

/** A CI job as a test wants it; all that is left out is what most jobs have. */
export interface JobOptions {
  readonly user: User;
  /** The account that GitLab Runner has; without it `user`. */
  readonly runner?: User;
  /** Whose the runner's files are; without it the runner's. For a driver that becomes the runner only now. */
  readonly owner?: User;
  /** What stands before the name of a stage; without it `--no-auth`. */
  readonly before?: readonly string[];
  /** The launcher of the staged bundle. */
  readonly jacamar: string;
  /** Text of jacamar.toml. */
  readonly configuration: string;
  readonly id?: number;
  /** `image` of the job response: a name, or the whole object as GitLab Runner writes it. */
  readonly image?: string | Readonly<Record<string, unknown>>;
  /** Further or other fields of the job response. */
  readonly response?: Readonly<Record<string, unknown>>;
  /** The text of the job response file, in place of everything else that is said of it. */
  readonly responseText?: string;
  /** CI variables as the driver sees them (`CUSTOM_ENV_*`); values of file variables are their content. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Further environment of the runner itself. */
  readonly runnerEnvironment?: Readonly<Record<string, string>>;
  readonly slot?: number;
  readonly repository?: string;
}

const summaryAtEnd =
  /^([^]*?)((?:queued \S+, )?(?:container \S+, )?(?:login \S+, )?script [0-9][0-9hms.]*(?:, .* peak memory(?: \(of .*\))?)?)\n$/;

let nextId = Number(String(Date.now()).slice(-8));

/**
 * Plays GitLab Runner for one job, one call at a time: the same environment, files, arguments and exit codes
 * (facts of the custom executor's contract), against the driver that ships. `jacamar try` is the whole runner; this is
 * for tests that must look between the stages.
 */
export class TestJob {
  readonly id: number;
  readonly token: string;
  /** The runner's directory for this job: working directory and TMPDIR of the driver. */
  readonly directory: string;
  readonly #options: JobOptions;
  #jobEnvironment: Record<string, string> = {};
  /** What the config stage answered. */
  answer: ConfigAnswer = { builds_dir: "", cache_dir: "", job_env: {} };
  /** What the driver said that the last script took. */
  summary = "";

  constructor(options: JobOptions) {
    nextId += 1;
    this.id = options.id ?? nextId;
    this.#options = throughDoor(options, this.id);
    this.token = `glcbt-64_token-of-job-${this.id}`;
    this.directory = mkdtempSync("/var/tmp/custom-executor");
    this.#give(this.directory);
    this.#write("jacamar.toml", this.#options.configuration);
    this.#write("response.json", options.responseText ?? JSON.stringify(this.#response()));
  }

  /** The project's path in the directories. */
  get slug(): string {
    return "group/demo";
  }

  get state(): { workspace: Record<string, string> } {
    const state: unknown = JSON.parse(this.#jobEnvironment["JACAMAR_CI_STATE"] ?? "{}");
    if (typeof state !== "object" || state === null || !("workspace" in state))
      throw new Error("No state: did config run?");
    const { workspace } = state;
    if (typeof workspace !== "object" || workspace === null) throw new Error("No workspace in the state");
    return { workspace: Object.fromEntries(Object.entries(workspace).map(([key, value]) => [key, String(value)])) };
  }

  /** A directory of the job, by its name in the driver's state: `scriptsDir`, `privateDir`, `buildsDir`, … */
  directoryOf(name: string): string {
    const path = this.state.workspace[name];
    if (path === undefined) throw new Error(`The state has no ${name}`);
    return path;
  }

  get environment(): Record<string, string> {
    const variables = {
      CI_RUNNER_SHORT_TOKEN: "tEsT-runN",
      CI_CONCURRENT_ID: String(this.#options.slot ?? 0),
      CI_JOB_ID: String(this.id),
      CI_JOB_TOKEN: this.token,
      CI_JOB_IMAGE: typeof this.#options.image === "string" ? this.#options.image : "",
      ...this.#options.variables,
    };
    return {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      HOME: "/nonexistent",
      USER: "gitlab-runner",
      SECRET_OF_THE_RUNNER: "must-not-reach-a-job",
      ...this.#options.runnerEnvironment,
      TMPDIR: this.directory,
      BUILD_FAILURE_EXIT_CODE: "1",
      SYSTEM_FAILURE_EXIT_CODE: "2",
      BUILD_EXIT_CODE_FILE: join(this.directory, "build_exit_code"),
      JOB_RESPONSE_FILE: join(this.directory, "response.json"),
      ...this.#jobEnvironment,
      ...Object.fromEntries(Object.entries(variables).map(([key, value]) => [`CUSTOM_ENV_${key}`, value])),
    };
  }

  /** The config stage; its answer is kept for the stages after it. */
  async config(): Promise<Ended> {
    const ended = await this.#call(["config", "--configuration", join(this.directory, "jacamar.toml")]);
    if (ended.exitCode === 0) {
      this.answer = parseAnswer(ended.stdout);
      this.#jobEnvironment = this.answer.job_env;
    }
    return ended;
  }

  /** After config: makes it a job whose runner has gone away. No process has had that number. */
  loseRunner(): void {
    const { JACAMAR_CI_STATE: state = "" } = this.answer.job_env;
    const lost = state.replace(/("life":"[^/"]+)\/\d+\/\d+\//, "$1/4194305/1/");
    if (lost === state) throw new Error("No life in the state");
    this.answer.job_env["JACAMAR_CI_STATE"] = lost;
  }

  prepare(): Promise<Ended> {
    return this.#call(["prepare"]);
  }

  /** A run stage with lines of Bash as its body, framed as GitLab Runner frames them. */
  async run(stage: string, body: string, timeoutSeconds = 60): Promise<Ended> {
    return this.#withoutSummary(await this.#call(["run", this.#script(body), stage], timeoutSeconds));
  }

  /** The same, returning at once. `under` is a program that starts the driver, which is its arguments. */
  start(stage: string, body: string, under: readonly string[] = []): Running {
    const running = this.#start(["run", this.#script(body), stage], under);
    return { ...running, done: running.done.then((ended) => this.#withoutSummary(ended)) };
  }

  /** Takes away the line that tells what a script took, for tests that compare what the script has printed. */
  #withoutSummary(ended: Ended): Ended {
    const [, printed = ended.stdout, summary = ""] = summaryAtEnd.exec(ended.stdout) ?? [];
    if (summary !== "") this.summary = summary;
    return { ...ended, stdout: printed };
  }

  startPrepare(): Running {
    return this.#start(["prepare"]);
  }

  cleanup(timeoutSeconds?: number): Promise<Ended> {
    return this.#call(["cleanup", "--configuration", join(this.directory, "jacamar.toml")], timeoutSeconds);
  }

  /** What the driver left in BUILD_EXIT_CODE_FILE; undefined when there is none. */
  buildExitCode(): string | undefined {
    const path = join(this.directory, "build_exit_code");
    return existsSync(path) ? readFileSync(path, "utf8") : undefined;
  }

  /** config, prepare, one script as the user's, cleanup: for tests that only look at what the script saw. */
  async whole(
    body: string,
    stage = "build_script",
  ): Promise<{ config: Ended; prepare: Ended; run: Ended; cleanup: Ended }> {
    const config = await this.config();
    const prepare = await this.prepare();
    const run = await this.run(stage, body);
    const cleanup = await this.cleanup();
    return { config, prepare, run, cleanup };
  }

  /** Removes the runner's own directory, as the runner does after cleanup. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #response(): Record<string, unknown> {
    const { image, response } = this.#options;
    const named = typeof image === "string" ? { name: image } : (image ?? { name: "" });
    return {
      id: this.id,
      token: this.token,
      allow_git_fetch: true,
      job_info: {
        name: "test",
        stage: "test",
        pipeline_id: 900,
        project_id: 17,
        project_name: "demo",
        project_full_path: "group/demo",
      },
      git_info: {
        repo_url: this.#options.repository ?? "https://gitlab-ci-token:secret@gitlab.example.com/group/demo.git",
        ref: "main",
      },
      runner_info: { timeout: 3600 },
      inputs: {},
      variables: [{ key: "CI_JOB_ID", value: String(this.id), public: true, file: false, masked: false, raw: false }],
      steps: [],
      image: {
        ...named,
        executor_opts: { docker: { platform: "", user: "" }, kubernetes: { user: "" } },
        ...(typeof image === "object" ? image : {}),
      },
      services: null,
      artifacts: null,
      cache: null,
      credentials: null,
      dependencies: null,
      features: { trace_sections: true },
      ...response,
    };
  }

  #script(body: string): string {
    const directory = mkdtempSync(join(this.directory, "script"));
    this.#give(directory);
    const path = join(directory, "script");
    writeFileSync(path, generatedScript(body), { mode: 0o700 });
    this.#give(path);
    return path;
  }

  get #runner(): User {
    return this.#options.runner ?? this.#options.user;
  }

  #argv(args: readonly string[]): string[] {
    return [this.#options.jacamar, ...(this.#options.before ?? ["--no-auth"]), ...args];
  }

  #call(args: readonly string[], timeoutSeconds = 120): Promise<Ended> {
    return asUser(this.#runner, this.#argv(args), {
      env: this.environment,
      cwd: this.directory,
      timeoutSeconds,
    });
  }

  #start(args: readonly string[], under: readonly string[] = []): Running {
    return startAsUser(this.#runner, [...under, ...this.#argv(args)], {
      env: this.environment,
      cwd: this.directory,
    });
  }

  #write(name: string, text: string): void {
    const path = join(this.directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    this.#give(path);
  }

  #give(path: string): void {
    const { uid, gid } = this.#options.owner ?? this.#runner;
    if (process.getuid?.() === 0) chownSync(path, uid, gid);
  }
}

/** The part of the config stage's answer that tests look at. */
export interface ConfigAnswer {
  readonly builds_dir: string;
  readonly cache_dir: string;
  readonly job_env: Record<string, string>;
  readonly hostname?: string;
}

function parseAnswer(text: string): ConfigAnswer {
  const answer: unknown = JSON.parse(text);
  if (typeof answer !== "object" || answer === null) throw new Error(`The config stage answered ${text}`);
  const fields = Object.fromEntries(Object.entries(answer));
  const jobEnvironment: unknown = fields["job_env"] ?? {};
  return {
    builds_dir: String(fields["builds_dir"]),
    cache_dir: String(fields["cache_dir"]),
    job_env: Object.fromEntries(Object.entries(jobEnvironment ?? {}).map(([key, value]) => [key, String(value)])),
    ...("hostname" in fields ? { hostname: String(fields["hostname"]) } : {}),
  };
}

/** A stage's script in the frame that GitLab Runner gives it (shells/bash.go). The body is one line or more of Bash. */
export function generatedScript(body: string): string {
  const quoted = body
    .replaceAll("\\", "\\\\")
    .replaceAll("'", "\\'")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return `#!/usr/bin/env bash

trap 'exit 1' TERM

case "$(set -o)" in *"pipefail"*) set -o pipefail;; esac; set -o errexit
set +o noclobber
(trap 'exit 1' TERM; eval $'${quoted}') < /dev/null
exit 0
`;
}
