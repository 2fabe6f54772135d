/**
 * The parts of a stage that are timed, in the order in which they come. A closed list: the record, the metrics and the
 * report know each by its name.
 *
 * - prepare: `directories`, `prep_script`, `login` (a login of the user, for Podman's environment), `pull`, `trial` (whether
 *   the image has a shell), `archive`;
 * - run: `queue` (until the scheduler starts the job), `login` (Bash and its start-up files) or `container` (Podman's start),
 *   `script`, `end` (from the script's end until its container is gone);
 * - cleanup: `containers`, `processes`, `files`.
 */
export const stepNames = [
  "directories",
  "prep_script",
  "queue",
  "login",
  "pull",
  "trial",
  "archive",
  "container",
  "script",
  "end",
  "containers",
  "processes",
  "files",
] as const;
export type StepName = (typeof stepNames)[number];

/**
 * Milliseconds since this process was started, with their fractions. `performance.now()` tells the same, and each stage would
 * load a module for it.
 */
export function sinceStart(): number {
  return process.uptime() * 1000;
}

/** A part of a stage, and when it was. */
export interface Step {
  readonly name: StepName;
  /** When it began, counted from the start of this process. */
  readonly atSeconds: number;
  readonly seconds: number;
}

/** What else is known of a stage. All of it can be missing. */
export interface Facts {
  /** How the script was run. */
  readonly mechanism?: "bash" | "podman";
  /** Name of the image, as the job or the configuration gives it. */
  readonly image?: string;
  readonly imageId?: string;
  /** Digest under which the registry has the image. */
  readonly imageDigest?: string;
  readonly imageBytes?: number;
  /** Whether the image was there already (`hit`) or had to be pulled. */
  readonly imageCache?: "hit" | "pulled";
  /** The job's number in the scheduler. */
  readonly schedulerId?: string;
  /** The machine on which the scheduler ran the script. */
  readonly node?: string;
  /** From handing the job to the scheduler until it started. */
  readonly queueSeconds?: number;
  /** The most memory that the script's control group has used at one time. */
  readonly peakMemoryBytes?: number;
  /** The limit of that group; missing when it has none. */
  readonly memoryLimitBytes?: number;
  /** The script's own exit code. */
  readonly exitCode?: number;
}

/**
 * Collects what a stage took and found out, for its line in the job log and in the record. Noting costs next to nothing, so
 * everything is noted, whether or not anybody wants to know.
 */
export class Measurements {
  readonly #steps: Step[] = [];
  #facts: Facts = {};

  /** Does a part of the stage and notes how long it took, also when it fails. */
  async step<T>(name: StepName, work: () => T | Promise<T>): Promise<T> {
    const start = sinceStart();
    try {
      return await work();
    } finally {
      this.add(name, start, sinceStart());
    }
  }

  /** Notes a part that was timed elsewhere; both times are as {@link sinceStart} gives them. */
  add(name: StepName, startMilliseconds: number, endMilliseconds: number): void {
    const seconds = Math.max(0, endMilliseconds - startMilliseconds) / 1000;
    this.#steps.push({ name, atSeconds: Math.max(0, startMilliseconds) / 1000, seconds });
  }

  /** Notes what was found out; a later word on the same thing counts. */
  note(facts: Facts): void {
    this.#facts = { ...this.#facts, ...facts };
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  get facts(): Facts {
    return this.#facts;
  }

  /** How long all parts of that name took together; undefined when there was none. */
  seconds(name: StepName): number | undefined {
    const steps = this.#steps.filter((step) => step.name === name);
    return steps.length === 0 ? undefined : steps.reduce((sum, step) => sum + step.seconds, 0);
  }
}
