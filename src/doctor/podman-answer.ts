import { existsSync } from "node:fs";
import * as v from "valibot";
import type { Account } from "../account/account.ts";
import type { Config } from "../config/schema.ts";
import { JacamarError } from "../error/error.ts";
import { lastLine, PodmanClient, succeeded } from "../podman/client.ts";
import { makeRuntimeDirectory, systemRuntimeDirectory } from "../podman/surroundings.ts";
import type { Environment } from "../process/command.ts";
import { readStorageConfiguration, type StorageConfiguration } from "./storage-configuration.ts";

const text = v.optional(v.string(), "");
const infoSchema = v.object({
  host: v.object({
    cgroupManager: text,
    cgroupVersion: text,
    cgroupControllers: v.optional(v.nullable(v.array(v.string()))),
    ociRuntime: v.optional(v.object({ name: text, path: text, version: text }), {}),
    networkBackend: text,
    rootlessNetworkCmd: text,
    security: v.optional(
      v.object({ selinuxEnabled: v.optional(v.boolean(), false), rootless: v.optional(v.boolean(), true) }),
      {},
    ),
  }),
  store: v.object({
    graphDriverName: v.string(),
    graphRoot: v.string(),
    graphOptions: v.optional(v.nullable(v.record(v.string(), v.unknown()))),
    graphStatus: v.optional(v.nullable(v.record(v.string(), v.unknown()))),
    configFile: text,
  }),
  version: v.object({ Version: v.string() }),
});

/** What `podman info` says, as far as the checks ask. */
export type PodmanInfo = v.InferOutput<typeof infoSchema>;

/** What became of asking the user's Podman about itself. */
export type PodmanAnswer =
  /** It cannot be started. */
  | { readonly kind: "missing"; readonly error: JacamarError }
  | {
      readonly kind: "failed" | "works";
      readonly client: PodmanClient;
      readonly storage: StorageConfiguration;
      /** No Podman of the user has made a store yet: the first one decides its driver. Nothing of the store was touched. */
      readonly firstUse: boolean;
      readonly info: PodmanInfo | undefined;
      /** What it wrote to standard error: warnings, and why it failed. */
      readonly said: string;
      /** Its `XDG_RUNTIME_DIR`. */
      readonly runtimeDirectory: string;
      /** Options before the command, with which nothing of a store that is not there yet is made. */
      readonly globalOptions: readonly string[];
    };

/** Whose Podman is asked. */
export interface PodmanOwner {
  readonly account: Account;
  readonly config: Config;
  readonly base: string;
  readonly stop: AbortSignal;
  login(): Promise<Environment>;
  scratch(): string;
}

/** Less than a check may take: one that is cut off could not say what it waits for. */
const infoSeconds = 8;

/** One of these is in every store that was used: Podman's databases, and the drivers' directories. */
const marksOfStore = ["libpod", "db.sql", "overlay", "vfs", "overlay-images", "vfs-images", "btrfs", "zfs"];

/**
 * Asks the user's Podman about itself in the surroundings of a job. A Podman that has never run is asked with a store of
 * ours, since the driver of the first one stays for ever (facts/podman.md, "Setting it up").
 */
export async function askPodman(owner: PodmanOwner): Promise<PodmanAnswer> {
  const { account, config, stop } = owner;
  const login = await owner.login();
  const storage = readStorageConfiguration(account, login);
  const firstUse = !marksOfStore.some((name) => existsSync(`${storage.graphRoot}/${name}`));
  const scratch = owner.scratch();
  const runtimeDirectory = firstUse ? scratch : makeRuntimeDirectory(account, owner.base);
  const client = new PodmanClient(
    config.general.podman.application_path ?? "podman",
    { ...login, ...(firstUse ? sessionBus(account) : {}), XDG_RUNTIME_DIR: runtimeDirectory, TMPDIR: scratch },
    "/",
  );
  const globalOptions = firstUse ? ["--root", `${scratch}/root`, "--runroot", `${scratch}/run`] : [];
  try {
    const answer = await client.ask([...globalOptions, "info", "--format", "json"], {
      timeoutSeconds: infoSeconds,
      stop,
    });
    const info = succeeded(answer.ending) ? parseInfo(answer.stdout) : undefined;
    return {
      kind: info === undefined ? "failed" : "works",
      client,
      storage,
      firstUse,
      info,
      said: "signal" in answer.ending ? `it did not answer within ${infoSeconds} s` : answer.stderr,
      runtimeDirectory,
      globalOptions,
    };
  } catch (error) {
    if (error instanceof JacamarError && error.code === "podman_missing") return { kind: "missing", error };
    throw error;
  }
}

/** The user's systemd, which Podman would else look for in `XDG_RUNTIME_DIR`. */
function sessionBus(account: Account): Environment {
  const directory = systemRuntimeDirectory(account);
  const hasBus = directory !== undefined && existsSync(`${directory}/bus`);
  return hasBus ? { DBUS_SESSION_BUS_ADDRESS: `unix:path=${directory}/bus` } : {};
}

function parseInfo(json: string): PodmanInfo | undefined {
  try {
    const parsed = v.safeParse(infoSchema, JSON.parse(json));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

/** Why a Podman that was asked has failed, in one line. */
export function failureOf(said: string): string {
  return lastLine(said);
}
