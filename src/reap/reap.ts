import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { currentAccount, type Account } from "../account/account.ts";
import { cleanBash } from "../command/clean-bash.ts";
import { runCleanup } from "../command/cleanup.ts";
import { openContext } from "../command/context.ts";
import { archivesDirectory, directoryRules } from "../command/job-files.ts";
import { type JobState, packState } from "../command/state.ts";
import { loadConfiguration } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import { isJobKey, type JobKey } from "../gitlab/job-key.ts";
import { JobLog, printableLine } from "../log/job-log.ts";
import { size } from "../measure/summary.ts";
import { bashEnvironment } from "../mechanism/bash.ts";
import { makeRoom, roomToMake } from "../podman/archive-eviction.ts";
import { diskUse } from "../podman/archive-files.ts";
import { PodmanClient } from "../podman/client.ts";
import { runtimeDirectory } from "../podman/surroundings.ts";
import { readLoginEnvironment } from "../process/login-environment.ts";
import { reapCommand } from "../terminal/commands/reap.ts";
import { helpText } from "../terminal/help.ts";
import type { Terminal } from "../terminal/terminal.ts";
import { isThere } from "../workspace/directories.ts";
import { baseDirectory } from "../workspace/layout.ts";
import { parseReapArguments, type ReapArguments } from "./arguments.ts";
import { findDeadContainers, removeContainer } from "./dead-containers.ts";
import { type DeadJob, findDeadJobs } from "./dead-jobs.ts";
import { becomeUserNamed, isReaperOf, reapOthers } from "./other-users.ts";
import { type BuildsOwner, findUnusedBuilds, removeUnusedBuilds } from "./unused-builds.ts";

/**
 * `jacamar reap`: finds what dead jobs have left, and removes it with `--yes`. Returns 0 when all went well, 1 when something could not be
 * removed.
 *
 * Throws `usage`, `config_invalid`, `config_unreadable`, and `downscope_failed`.
 */
export async function runReap(argv: readonly string[], terminal: Terminal): Promise<number> {
  const wanted = parseReapArguments(argv);
  if (wanted.help) {
    terminal.stdout.write(helpText(reapCommand));
    return 0;
  }
  const config = await loadConfiguration(resolve(terminal.workingDirectory, wanted.configuration));
  if (wanted.of !== undefined) {
    if (!isReaperOf(wanted.of, terminal)) return reapOthers(wanted.of, wanted, config, terminal);
    await becomeUserNamed(wanted.of.user, config);
  }
  const account = currentAccount();
  if (account.uid === 0) {
    throw new JacamarError("usage", "root has no jobs of its own", { hint: "Give --user NAME or --all-users." });
  }
  // Names that a user chose must not look like further lines.
  const say = (line: string) => void terminal.stdout.write(`${printableLine(line)}\n`);
  return new Reaper(config, account, wanted, say).reap();
}

/** The name of what is being removed must be nobody else's. */
function ownKey(): JobKey {
  const jobKey = `${process.pid}-${"0".repeat(12)}`;
  if (!isJobKey(jobKey)) throw new Error("a process number that is none");
  return jobKey;
}

class Reaper {
  readonly #config: Config;
  readonly #account: Account;
  readonly #wanted: ReapArguments;
  readonly #say: (line: string) => void;
  readonly #nowSeconds = Date.now() / 1000;
  #found = 0;
  #failed = 0;

  constructor(config: Config, account: Account, wanted: ReapArguments, say: (line: string) => void) {
    // Nobody is authorised here: whose the files are is whose they stay.
    this.#config = { ...config, auth: undefined };
    this.#account = account;
    this.#wanted = wanted;
    this.#say = say;
  }

  async reap(): Promise<number> {
    const base = baseDirectory(this.#config.general.data_dir, this.#account);
    if (!this.#isOwn(base)) return 1;
    if (this.#wanted.batchJob === undefined) {
      for (const job of findDeadJobs(base, this.#nowSeconds)) await this.#reapJob(job);
    }
    if (this.#config.general.run_mechanism === "podman") await this.#reapContainers(base);
    if (this.#wanted.batchJob === undefined) {
      await this.#reapBuilds(base);
      await this.#reapArchives(base);
    }
    if (this.#found === 0) this.#say(`Nothing is left of dead jobs of ${this.#account.name}`);
    return this.#failed === 0 ? 0 : 1;
  }

  /** Whether nobody else has taken the user's directory: then no job has run in it, and nothing that lies there is to be believed. */
  #isOwn(base: string): boolean {
    try {
      isThere(base, base, directoryRules(this.#config, this.#account));
      return true;
    } catch (error) {
      if (!(error instanceof JacamarError)) throw error;
      this.#sayError(error.message, error);
      return false;
    }
  }

  /** The cleanup stage of the job, late. */
  async #reapJob({ key, life, workspace, project }: DeadJob): Promise<void> {
    const bytes = diskUse(workspace.scriptsDir) + diskUse(workspace.privateDir);
    await this.#each(
      `job ${key.split("-")[0]} of ${project}: ${size(bytes)} of scripts, and what still runs`,
      async () => {
        const state: JobState = { config: this.#config, workspace, jobKey: key, life };
        const gone = new JacamarError("job_response_invalid", "The job is over");
        const files = { job: gone, script: undefined, exitCode: { write: () => true } };
        await runCleanup(openContext(packState(state), files, new AbortController().signal), new JobLog(1));
      },
    );
  }

  async #reapContainers(base: string): Promise<void> {
    const podman = await this.#podman(base);
    if (podman === undefined) return;
    const search = {
      keepEnded: this.#config.general.podman.disable_container_removal,
      batchJob: this.#wanted.batchJob,
      nowSeconds: this.#nowSeconds,
    };
    for (const container of await findDeadContainers(podman, search)) {
      const { name, state, bytes } = container;
      const written = bytes === undefined ? "" : `: ${size(bytes)} written`;
      await this.#each(`container ${name} (${state})${written}`, () => removeContainer(podman, container));
    }
  }

  /** The user's Podman, as a login has it; undefined where the user has none running, and no store. */
  async #podman(base: string): Promise<PodmanClient | undefined> {
    const runtime = runtimeDirectory(this.#account, base);
    if (runtime === undefined) return undefined;
    const state = { config: this.#config, identity: undefined };
    const { shellPath, beginning } = cleanBash(state, this.#account);
    const login = await readLoginEnvironment(
      { argv: bashEnvironment(shellPath, "login", "jacamar-reap"), environment: beginning, workingDirectory: "/" },
      new AbortController().signal,
    );
    const environment = { ...login, XDG_RUNTIME_DIR: runtime };
    return new PodmanClient(this.#config.general.podman.application_path ?? "podman", environment, "/");
  }

  /** Builds directories that no job has used for `static_dir_retention` days. */
  async #reapBuilds(base: string): Promise<void> {
    const owner: BuildsOwner = {
      config: this.#config,
      base,
      rules: directoryRules(this.#config, this.#account),
      jobKey: ownKey(),
      nowSeconds: this.#nowSeconds,
      podman: () => this.#podman(base),
    };
    for (const builds of findUnusedBuilds(this.#config, base, this.#nowSeconds)) {
      const name = builds.path.slice(`${base}/builds/`.length);
      const what = `builds directory ${name}: ${size(diskUse(builds.path))}, without a job for ${builds.unusedDays} days`;
      await this.#each(what, () => removeUnusedBuilds(builds, owner));
    }
  }

  async #reapArchives(base: string): Promise<void> {
    const directory = archivesDirectory({ base });
    if (!existsSync(directory)) return;
    const limit = this.#config.general.podman.archive_cache_size ?? Number.POSITIVE_INFINITY;
    const place = { directory, jobKey: ownKey(), privateDir: "" };
    const { unfinished, beyond } = await roomToMake(place, limit);
    const told = ({ count, bytes }: { count: number; bytes: number }): string =>
      `${count} archive${count === 1 ? "" : "s"} of images, ${size(bytes)}`;
    if (unfinished.count > 0) {
      await this.#each(`${told(unfinished)}: left half-made`, async () => {
        await makeRoom(place, Number.POSITIVE_INFINITY);
      });
    }
    if (beyond.count > 0) {
      await this.#each(`${told(beyond)}: beyond archive_cache_size`, async () => {
        await makeRoom(place, limit);
      });
    }
    // Marks and locks of dead jobs, of which there is nothing to tell.
    if (this.#wanted.yes) await makeRoom(place, limit);
  }

  /** @param remove answers `false` when a job has taken it meanwhile. */
  async #each(what: string, remove: () => Promise<unknown>): Promise<void> {
    this.#found += 1;
    if (!this.#wanted.yes) {
      this.#say(`Found ${what}`);
      return;
    }
    try {
      const isGone = await remove();
      this.#say(`${isGone === false ? "Left, since a job has taken it:" : "Removed"} ${what}`);
    } catch (error) {
      if (!(error instanceof JacamarError)) throw error;
      this.#failed += 1;
      this.#sayError(`${what}: ${error.message}`, error);
    }
  }

  #sayError(text: string, { hint }: JacamarError): void {
    this.#say(`ERROR: ${text}`);
    for (const line of hint?.split("\n") ?? []) this.#say(`  ${line}`);
  }
}
