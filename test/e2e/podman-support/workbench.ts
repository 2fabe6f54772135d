import { createHash, randomBytes } from "node:crypto";
import { chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobOptions, TestJob } from "../../harness/job.ts";
import { asUser, type User, testUser } from "../../harness/machine.ts";
import { type Slurm, startSlurm } from "../../harness/slurm.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";
import type { TestExecutor } from "./executors.ts";

/** Undefined leaves the key out. */
type Value = string | boolean | readonly string[] | undefined;

/** A job of a {@link Workbench}: keys of the configuration in place of its text. */
export interface BenchJob extends Omit<JobOptions, "user" | "jacamar" | "configuration"> {
  /** Keys of `[general]` beside `executor`, `data_dir` and `run_mechanism = "podman"`. */
  readonly general?: Readonly<Record<string, Value>>;
  /** Keys of `[general.podman]`. Images are never pulled where this says nothing else. */
  readonly podman?: Readonly<Record<string, Value>>;
}

/** What a file of Podman tests needs: the bundle, a data_dir of its own, and everything removed at the end. */
export class Workbench {
  readonly user: User = testUser();
  /** Of small letters and digits: for the names of images. */
  readonly unique: string;
  readonly dataDir: string;
  /** Files of the test, readable by the user alone. */
  readonly directory: string;
  readonly #stage: Stage = stageBundle();
  readonly #jobs: TestJob[] = [];
  readonly #images: string[] = [];
  /** Runs the scripts of the jobs, where it is not this machine. */
  readonly #slurm: Slurm | undefined;

  constructor(name: string, executor: TestExecutor = "shell") {
    // Nothing is shared with a second run of the same tests at the same time.
    this.unique = randomBytes(4).toString("hex");
    this.dataDir = join(this.user.home, `.jacamar-e2e-${name}-${this.unique}`);
    this.directory = mkdtempSync("/var/tmp/jacamar-e2e-");
    this.#give(this.directory);
    this.#slurm = executor === "slurm" ? startSlurm() : undefined;
  }

  job({ general, podman, ...options }: BenchJob): TestJob {
    const job = new TestJob({
      user: this.user,
      jacamar: this.#stage.jacamar,
      configuration: [
        "[general]",
        ...lines({
          executor: this.#slurm ? "slurm" : "shell",
          data_dir: this.dataDir,
          run_mechanism: "podman",
          ...general,
        }),
        "[general.podman]",
        ...lines({ image_pull_policy: "never", runner_pull_policy: "never", ...podman }),
        ...(this.#slurm ? ["[batch]", this.#slurm.envVars, 'command_delay = "2s"', 'nfs_timeout = "3s"'] : []),
        "",
      ].join("\n"),
      ...options,
    });
    this.#jobs.push(job);
    return job;
  }

  /** Writes a file of the user's and returns its path. `NODE` in a program's first line is a Node.js that the user can run. */
  write(name: string, text: string, mode = 0o600): string {
    const path = join(this.directory, name);
    writeFileSync(path, text.replace(/^#!NODE/, `#!${this.#stage.node}`), { mode });
    this.#give(path);
    return path;
  }

  /** Podman of the user. Throws when it fails, with its words. */
  async podman(...args: readonly string[]): Promise<string> {
    const ended = await asUser(this.user, ["podman", ...args]);
    if (ended.exitCode !== 0) throw new Error(`podman ${args.join(" ")}: ${ended.stderr}`);
    return ended.stdout.trim();
  }

  /** The id of an image in the user's store. */
  imageId(name: string): Promise<string> {
    return this.podman("image", "inspect", "--format", "{{.Id}}", name);
  }

  /** The ids of a job's containers, the ended ones too. */
  async containersOf(job: TestJob): Promise<string[]> {
    const ids = await this.podman("ps", "--all", "--quiet", "--filter", `label=jacamar-ci.job=${jobKey(job)}`);
    return ids.split("\n").filter((id) => id !== "");
  }

  /** Makes an image of BusyBox alone that no other test has, so that this one may remove it. Returns its full name. */
  async makeImage(name: string, ...changes: readonly string[]): Promise<string> {
    const full = this.removeImageLater(`localhost/${name}-${this.unique}:latest`);
    const script = `set -euo pipefail
      container=$(podman create localhost/jacamar-busybox)
      podman export "$container" | podman import --quiet "\${@:2}" - "$1"
      podman rm "$container"`;
    const options = [`LABEL made-for=${name}`, ...changes].flatMap((change) => ["--change", change]);
    const made = await asUser(this.user, ["bash", "-c", script, "-", full, ...options]);
    if (made.exitCode !== 0) throw new Error(`Cannot make ${full}: ${made.stderr}`);
    return full;
  }

  /** Takes the name from the user's store in the end. */
  removeImageLater(name: string): string {
    this.#images.push(name);
    return name;
  }

  /** Cleans up after all jobs and removes all that was made. */
  async close(): Promise<void> {
    for (const job of this.#jobs) {
      await job.cleanup();
      job.remove();
      await this.#removeContainers(job);
    }
    // A cleanup asks Slurm.
    this.#slurm?.stop();
    for (const image of this.#images) await asUser(this.user, ["podman", "rmi", "--force", image]);
    // A container may have made files that are not the user's.
    await asUser(this.user, ["podman", "unshare", "rm", "-rf", this.dataDir]);
    rmSync(this.directory, { recursive: true, force: true });
    this.#stage.remove();
  }

  /** Only `disable_container_removal` leaves any. */
  async #removeContainers(job: TestJob): Promise<void> {
    const ids = await this.containersOf(job);
    if (ids.length > 0) await this.podman("rm", "--force", "--time", "0", ...ids);
  }

  #give(path: string): void {
    if (process.getuid?.() === 0) chownSync(path, this.user.uid, this.user.gid);
  }
}

/** The number of a job and the beginning of a digest of its token: how its containers are found again. */
export function jobKey(job: TestJob): string {
  const digest = createHash("sha256").update(job.token).digest("hex");
  return `${job.id}-${digest.slice(0, 12)}`;
}

/** Text of JSON is text of TOML, for texts, truth values and lists of texts. */
function lines(values: Readonly<Record<string, Value>>): string[] {
  const set = Object.entries(values).filter(([, value]) => value !== undefined);
  return set.map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
}

/** Runs the stages before the script and fails loudly when one of them does not work. */
export async function prepared(job: TestJob): Promise<string> {
  const config = await job.config();
  if (config.exitCode !== 0) throw new Error(`config failed: ${config.stderr}`);
  const prepare = await job.prepare();
  if (prepare.exitCode !== 0) throw new Error(`prepare failed: ${prepare.stdout}${prepare.stderr}`);
  return prepare.stdout;
}

/** The config stage and a prepare stage that fails: its exit code and all that the user reads. */
export async function refused(job: TestJob): Promise<{ exitCode: number | undefined; log: string }> {
  const config = await job.config();
  if (config.exitCode !== 0) throw new Error(`config failed: ${config.stderr}`);
  const { exitCode, stdout, stderr } = await job.prepare();
  return { exitCode, log: stdout + stderr };
}

/** One script of the user's in a job of its own, to its end; fails loudly when a stage before it does. */
export async function scriptOf(
  job: TestJob,
  body: string,
  stage = "build_script",
): Promise<{ exitCode: number | undefined; log: string }> {
  const preparation = await prepared(job);
  const { exitCode, stdout, stderr } = await job.run(stage, body);
  return { exitCode, log: preparation + stdout + stderr };
}
