import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { startGitlab, type TestGitlab } from "../../../harness/gitlab.ts";
import { type JobOptions, TestJob } from "../../../harness/job.ts";
import { testUser, type User } from "../../../harness/machine.ts";
import { type Stage, stageBundle } from "../../../harness/stage.ts";
import { sudoersLines } from "../../../harness/sudoers.ts";

/** Becoming another user takes root: what `describe` gets as `skip`. */
export const skip = process.getuid?.() === 0 ? false : "becoming another user takes root";

export const root: User = { name: "root", uid: 0, gid: 0, home: "/root" };

/** The ways from the runner's account to the user's. */
export const doors = ["setuid as root", "setuid with capabilities", "sudo"] as const;
export type Door = (typeof doors)[number];

/** A job through one of the doors; all that is left out is what most jobs have. */
export interface DoorJob extends Partial<Omit<JobOptions, "user" | "runner" | "before" | "id">> {
  readonly user?: User;
  /** The login of the ID token; without it the user's name. */
  readonly login?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Without an ID token at all. */
  readonly withoutToken?: boolean;
  readonly unobfuscated?: boolean;
  /** Lines of TOML at the end of `[general]`, of `[general.podman]` and of `[auth]`. */
  readonly general?: string;
  readonly podman?: string;
  readonly auth?: string;
  /** `[auth.logging]`; without it no log is written. */
  readonly logging?: string;
  /** What `[general]` has as `data_dir`. */
  readonly dataDir?: string;
  readonly mechanism?: "podman" | "none";
  readonly executor?: string;
  /** The driver is started by root, and becomes the runner by itself. */
  readonly startedByRoot?: boolean;
}

/** A site with all three doors: a staged bundle, a GitLab, and a service account with capabilities and a sudoers line. */
export interface Place {
  readonly stage: Stage;
  readonly gitlab: TestGitlab;
  readonly service: User;
  /** Where jobs of the test user work. */
  readonly dataDir: string;
  job(door: Door, options?: DoorJob): TestJob;
  remove(): Promise<void>;
}

/** Makes it. `name` tells the sites of tests apart that run at the same time: at most 12 small letters. */
export async function makePlace(name: string, protocol: "http" | "https" = "http"): Promise<Place> {
  const user = testUser();
  const stage = stageBundle();
  const gitlab = await startGitlab(protocol);
  const authority = join(stage.directory, "authority.pem");
  if (gitlab.authority !== undefined) writeFileSync(authority, gitlab.authority, { mode: 0o644 });
  const service = makeAccount(`jacamar-e2e-${name}`, ["--system", "--home-dir", `/var/lib/jacamar-e2e-${name}`]);
  const dataDir = join(user.home, `.jacamar-e2e-${name}`);
  rmSync(dataDir, { recursive: true, force: true });
  const sudoers = `/etc/sudoers.d/jacamar-e2e-${name}`;
  stage.giveCapabilities(service.gid);
  writeFileSync(sudoers, sudoersLines(service.name, stage.directory), { mode: 0o440 });

  function job(door: Door, options: DoorJob = {}): TestJob {
    const id = Math.floor(Math.random() * 1e9) + 1;
    const runner = door === "setuid as root" ? root : service;
    const login = options.login ?? options.user?.name ?? user.name;
    const token = options.withoutToken ? {} : { SITE_ID_TOKEN: gitlab.sign({ jobId: id, login }, options.claims) };
    return new TestJob({
      jacamar: join(stage.directory, "jacamar-auth"),
      configuration: configuration(door, options),
      ...options,
      user: options.user ?? user,
      runner: options.startedByRoot ? root : runner,
      owner: runner,
      before: options.unobfuscated ? ["-u"] : [],
      id,
      variables: { ...token, ...options.variables },
    });
  }

  function configuration(door: Door, options: DoorJob): string {
    const mechanism = options.mechanism ?? "podman";
    return `
[general]
executor = "${options.executor ?? "shell"}"
data_dir = "${options.dataDir ?? dataDir}"
${mechanism === "podman" ? 'run_mechanism = "podman"' : ""}
gitlab_server = "${gitlab.url}"
${gitlab.authority === undefined ? "" : `tls-ca-file = "${authority}"`}
jwt_env_variable = "SITE_ID_TOKEN"
kill_timeout = "5s"
${options.general ?? ""}
${mechanism === "podman" ? `[general.podman]\nimage_pull_policy = "never"\n${options.podman ?? ""}` : ""}
[auth]
downscope = "${door === "sudo" ? "sudo" : "setuid"}"
${options.auth ?? ""}
[auth.logging]
${options.logging ?? "enabled = false"}
`;
  }

  return {
    stage,
    gitlab,
    service,
    dataDir,
    job,
    remove: async () => {
      await gitlab.stop();
      stage.remove();
      rmSync(sudoers, { force: true });
      rmSync(dataDir, { recursive: true, force: true });
      removeAccount(service);
    },
  };
}

/** Makes an account of the system that nothing else uses. One that an earlier run left is removed first. */
export function makeAccount(name: string, options: readonly string[] = []): User {
  const left = accountNamed(name);
  if (left !== undefined) removeAccount(left);
  const making = options.includes("--no-create-home") ? [] : ["--create-home"];
  execFileSync("useradd", ["--shell", "/bin/sh", ...making, ...options, name]);
  const made = accountNamed(name);
  if (made === undefined) throw new Error(`useradd made no account ${name}`);
  // The number may have been that of another account before.
  endProcesses(made);
  rmSync(`/tmp/jacamar-ci-${made.uid}`, { recursive: true, force: true });
  return made;
}

/**
 * Removes an account, and the home that was made for it. Never by `userdel --remove`: with `--force` that removes whatever the home
 * is, and some accounts of these tests have `/`, or somebody else's.
 */
export function removeAccount({ name, uid, home }: User): void {
  endProcesses({ uid });
  execFileSync("userdel", ["--force", name], { stdio: "ignore" });
  const status = lstatSync(home, { throwIfNoEntry: false });
  const isOwn = basename(home) === name && status?.isDirectory() === true && status.uid === uid;
  if (isOwn) rmSync(home, { recursive: true, force: true });
}

/** A pause process of Podman's would go on under a number that the next account gets. */
function endProcesses({ uid }: Pick<User, "uid">): void {
  spawnSync("pkill", ["-KILL", "-U", String(uid)]);
}

function accountNamed(name: string): User | undefined {
  const { status, stdout } = spawnSync("getent", ["passwd", name], { encoding: "utf8" });
  if (status !== 0) return undefined;
  const [, , uid, gid, , home = ""] = stdout.trim().split(":");
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** Makes a directory with a mode that no umask narrows. */
export function makeOpenDirectory(path: string, mode: number): string {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
  return path;
}

/** The children of a process, by its main thread. */
export function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number);
}
