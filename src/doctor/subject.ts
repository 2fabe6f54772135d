import type { Account } from "../account/account.ts";
import type { Config } from "../config/schema.ts";
import type { Environment } from "../process/command.ts";
import { askPodman, type PodmanAnswer } from "./podman-answer.ts";
import { makeScratch, removeScratch } from "./scratch.ts";

/** What a subject is made of. */
export interface SubjectParts {
  /** Whose jobs are meant: the account of this process. */
  readonly account: Account;
  readonly config: Config;
  /** The root of the account's files of jobs. */
  readonly base: string;
  /** The environment of the user's login. Throws `shell_failed`. */
  readonly login: () => Promise<Environment>;
  /** Limits of the process that starts jobs, as /proc/PID/limits has them; undefined for our own. */
  readonly limits?: string | undefined;
  /** What HTTPS to GitLab trusts, where it was read before this process became the account; may throw auth's `Failure`. */
  readonly certificates?: () => readonly string[];
  readonly stop: AbortSignal;
}

/** The system as a job of an account meets it. What several checks need is found out once, when the first one asks. */
export class Subject {
  readonly account: Account;
  readonly config: Config;
  readonly base: string;
  readonly limits: string | undefined;
  readonly certificates: (() => readonly string[]) | undefined;
  readonly stop: AbortSignal;
  readonly #openLogin: () => Promise<Environment>;
  #login: Promise<Environment> | undefined;
  #podman: Promise<PodmanAnswer> | undefined;
  #scratch: string | undefined;

  constructor({ account, config, base, login, limits, certificates, stop }: SubjectParts) {
    this.account = account;
    this.config = config;
    this.base = base;
    this.limits = limits;
    this.certificates = certificates;
    this.stop = stop;
    this.#openLogin = login;
  }

  /** Root runs no jobs: then only the machine is looked at. */
  get isRoot(): boolean {
    return this.account.uid === 0;
  }

  /** Whether a job may run in a container. */
  get usesPodman(): boolean {
    return this.config.general.run_mechanism === "podman";
  }

  /** Throws `shell_failed`. */
  login(): Promise<Environment> {
    this.#login ??= this.#openLogin();
    return this.#login;
  }

  /** What the user's Podman says of itself. Throws `shell_failed`. */
  podman(): Promise<PodmanAnswer> {
    this.#podman ??= askPodman(this);
    return this.#podman;
  }

  /** A directory of the account's that is removed in the end. Throws Node's error when none can be made. */
  scratch(): string {
    this.#scratch ??= makeScratch();
    return this.#scratch;
  }

  /** Ends and removes what looking has made. */
  async close(): Promise<void> {
    if (this.#scratch !== undefined) await removeScratch(this.#scratch);
  }
}
