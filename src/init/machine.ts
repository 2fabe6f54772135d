import { dirname } from "node:path";
import * as v from "valibot";
import type { Account } from "../account/account.ts";
import { type ConfigurationFile, readRunnerConfiguration } from "../config/file.ts";
import { readToml } from "../config/toml.ts";
import { capture } from "../process/capture.ts";
import type { Environment } from "../process/command.ts";
import { onPath } from "../process/program-path.ts";

/** What can be seen of a machine without asking anybody. */
export interface Machine {
  readonly isRoot: boolean;
  readonly account: string;
  readonly scheduler: FoundScheduler | undefined;
  /** What `podman --version` says; undefined where there is none. */
  readonly podman: string | undefined;
  readonly runner: RunnerSettings | undefined;
}

export interface FoundScheduler {
  readonly executor: string;
  readonly program: string;
  readonly path: string;
}

/** What the runner's own config.toml says of GitLab. */
export interface RunnerSettings {
  readonly file: string;
  readonly url: string | undefined;
  readonly tlsCaFile: string | undefined;
}

/** The program with which each scheduler takes a job; the first that is found counts. */
const submitPrograms: readonly (readonly [executor: string, program: string])[] = [
  ["slurm", "sbatch"],
  ["flux", "flux"],
  ["lsf", "bsub"],
  ["pbs", "qsub"],
];

/**
 * @param path the PATH on which programs are looked for.
 * @param runnerFile the runner's config.toml, which may not be there.
 */
export async function lookAround(account: Account, path: string, runnerFile: string): Promise<Machine> {
  const podman = onPath("podman", path);
  return {
    isRoot: account.uid === 0,
    account: account.name,
    scheduler: findScheduler(path),
    podman: podman === undefined ? undefined : await versionOf(podman, { PATH: path, HOME: account.home, LC_ALL: "C" }),
    runner: readRunner(runnerFile),
  };
}

function findScheduler(path: string): FoundScheduler | undefined {
  for (const [executor, program] of submitPrograms) {
    const found = onPath(program, path);
    if (found !== undefined) return { executor, program, path: found };
  }
  return undefined;
}

const versionSeconds = 5;

async function versionOf(program: string, environment: Environment): Promise<string | undefined> {
  try {
    const { stdout } = await capture(
      { argv: [program, "--version"], environment, workingDirectory: "/" },
      { timeoutSeconds: versionSeconds },
    );
    return /^podman version [^\n]{1,80}/.exec(stdout)?.[0];
  } catch {
    // It is there, and cannot be started.
    return undefined;
  }
}

const runnerSchema = v.object({
  runners: v.optional(v.array(v.object({ url: v.optional(v.string()), "tls-ca-file": v.optional(v.string()) })), []),
});

/** Nothing is taken of it but an address and a path: it also holds the runner's token. */
function readRunner(file: string): RunnerSettings | undefined {
  let text: ConfigurationFile["text"];
  try {
    text = readRunnerConfiguration(file);
  } catch {
    return undefined;
  }
  if (typeof text !== "string") return undefined;
  const toml = readToml(text);
  const parsed = "reason" in toml ? undefined : v.safeParse(runnerSchema, toml.table);
  const runner = parsed?.success === true ? parsed.output.runners[0] : undefined;
  if (runner === undefined) return undefined;
  const ca = runner["tls-ca-file"];
  // A relative path is one from the file's own directory.
  const tlsCaFile = ca === undefined || ca.startsWith("/") ? ca : `${dirname(file)}/${ca}`;
  return { file, url: runner.url?.replace(/\/+$/, ""), tlsCaFile };
}
