import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobOptions, TestJob } from "../../harness/job.ts";
import { asUser, type Ended, type Running, startAsUser, type User, testUser } from "../../harness/machine.ts";
import { type Stage, stageBundle } from "../../harness/stage.ts";

/** A job of {@link Jobs}. */
export interface Wanted extends Omit<JobOptions, "user" | "jacamar" | "configuration"> {
  /** Lines of `[general]` beside `executor`, `data_dir` and `run_mechanism = "podman"`; a line of a table may follow. */
  readonly general?: string;
  /** Lines of `[general.podman]`. No image is pulled where this says nothing else. */
  readonly podman?: string;
  /** Replaces `shell`. */
  readonly executor?: string;
  /** Lines of `[batch]`. */
  readonly batch?: string;
  /** Replaces `data_dir`. */
  readonly dataDir?: string;
  /** Changes the environment of the driver in the last moment; a value of undefined takes a variable away. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** A {@link TestJob} whose driver may get another environment than GitLab Runner's usual one. */
export class AnyJob extends TestJob {
  readonly #options: JobOptions;
  readonly #changes: Readonly<Record<string, string | undefined>>;

  constructor(options: JobOptions, changes: Readonly<Record<string, string | undefined>> = {}) {
    super(options);
    this.#options = options;
    this.#changes = changes;
  }

  override get environment(): Record<string, string> {
    const changed: Record<string, string> = {};
    for (const [key, value] of Object.entries({ ...super.environment, ...this.#changes })) {
      if (value !== undefined) changed[key] = value;
    }
    return changed;
  }

  /** The config stage, returning at once; its answer is not kept. */
  startConfig(): Running {
    const { user, jacamar } = this.#options;
    const configuration = join(this.directory, "jacamar.toml");
    const argv = [jacamar, "--no-auth", "config", "--configuration", configuration];
    return startAsUser(user, argv, { env: this.environment, cwd: this.directory });
  }

  /** config and prepare, which must work. Returns what prepare said. */
  async ready(): Promise<string> {
    const config = await this.config();
    if (config.exitCode !== 0) throw new Error(`config failed: ${logOf(config)}`);
    const prepare = await this.prepare();
    if (prepare.exitCode !== 0) throw new Error(`prepare failed: ${logOf(prepare)}`);
    return prepare.stdout;
  }

  /** A script that exports the job's token, as the runner's scripts do with all variables of the job. */
  exporting(body: string): string {
    return `export CI_JOB_TOKEN=${this.token}\n${body}`;
  }
}

/** What a file of tests needs: the bundle, a data_dir of its own, and everything removed in the end. */
export class Jobs {
  readonly user: User;
  readonly dataDir: string;
  /** Files of the test, the user's and readable by the user alone. */
  readonly directory: string;
  readonly stage: Stage = stageBundle();
  readonly #jobs: TestJob[] = [];
  readonly #images: string[] = [];

  constructor(name: string, user: User = testUser()) {
    this.user = user;
    this.dataDir = join(user.home, `.jacamar-e2e-${name}-${process.pid}`);
    this.directory = mkdtempSync(`/var/tmp/jacamar-e2e-${name}-`);
    this.give(this.directory);
  }

  job({
    general = "",
    podman = "",
    batch = "",
    executor = "shell",
    dataDir = this.dataDir,
    environment = {},
    ...options
  }: Wanted = {}): AnyJob {
    const policy = /^image_pull_policy/m.test(podman) ? "" : 'image_pull_policy = "never"\n';
    const configuration = `[general]
executor = ${JSON.stringify(executor)}
data_dir = ${JSON.stringify(dataDir)}
run_mechanism = "podman"
${general}

[general.podman]
${policy}${podman}
${batch === "" ? "" : `[batch]\n${batch}\n`}`;
    return this.keep(
      new AnyJob({ user: this.user, jacamar: this.stage.jacamar, configuration, ...options }, environment),
    );
  }

  /** Lets {@link close} clean up after a job. */
  keep<J extends TestJob>(job: J): J {
    this.#jobs.push(job);
    return job;
  }

  /** Writes a file of the user's and returns its path. */
  write(name: string, text: string, mode = 0o600): string {
    const path = join(this.directory, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    this.give(path);
    return path;
  }

  /** Makes an image of BusyBox alone that no other test has. Returns its full name. */
  async makeImage(name: string): Promise<string> {
    const full = `localhost/${name}`;
    const script = `set -euo pipefail
      container=$(podman create localhost/jacamar-busybox)
      podman export "$container" | podman import --quiet --change "LABEL made-for=$1" - "$1"
      podman rm "$container"`;
    const made = await asUser(this.user, ["bash", "-c", script, "-", full]);
    if (made.exitCode !== 0) throw new Error(`Cannot make ${full}: ${made.stderr}`);
    this.#images.push(full);
    return full;
  }

  /** All containers of an image, running or not, one line each. */
  async containersOf(image: string): Promise<string[]> {
    const format = "{{.ID}} {{.Names}} {{.Status}} {{.Command}}";
    const listed = await asUser(this.user, [
      "podman",
      "ps",
      "--all",
      "--filter",
      `ancestor=${image}`,
      "--format",
      format,
    ]);
    if (listed.exitCode !== 0) throw new Error(`podman ps failed: ${listed.stderr}`);
    return listed.stdout.split("\n").filter((line) => line !== "");
  }

  asUser(argv: readonly string[]): Promise<Ended> {
    return asUser(this.user, argv);
  }

  give(path: string): void {
    if (process.getuid?.() === 0) chownSync(path, this.user.uid, this.user.gid);
  }

  async close(): Promise<void> {
    for (const job of this.#jobs) {
      await job.cleanup();
      job.remove();
    }
    for (const image of this.#images) await asUser(this.user, ["podman", "rmi", "--force", image]);
    // A container may have made files that are not the user's.
    await asUser(this.user, ["podman", "unshare", "rm", "-rf", this.dataDir]);
    rmSync(this.directory, { recursive: true, force: true });
    this.stage.remove();
  }
}

/** Both outputs of a stage, as the job log shows them. */
export function logOf(ended: Ended): string {
  return ended.stdout + ended.stderr;
}
