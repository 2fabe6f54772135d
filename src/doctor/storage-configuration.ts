import * as v from "valibot";
import type { Account } from "../account/account.ts";
import { readToml } from "../config/toml.ts";
import type { Environment } from "../process/command.ts";
import { readPlainFile } from "./plain-file.ts";

/** What storage.conf makes of a user's store (containers-storage.conf(5)). */
export interface StorageConfiguration {
  /** The file that counts; undefined when there is none. */
  readonly file: string | undefined;
  /** Where the user's own file would be. */
  readonly ownFile: string;
  /** Undefined when no file names one. */
  readonly driver: string | undefined;
  readonly graphRoot: string;
}

const schema = v.object({
  storage: v.optional(
    v.object({
      driver: v.optional(v.string()),
      graphroot: v.optional(v.string()),
      rootless_storage_path: v.optional(v.string()),
    }),
    {},
  ),
});

/** Finds the storage.conf that a rootless Podman of the account reads, and what it says. */
export function readStorageConfiguration(account: Account, login: Environment): StorageConfiguration {
  const configHome = login["XDG_CONFIG_HOME"] ?? `${account.home}/.config`;
  const dataHome = login["XDG_DATA_HOME"] ?? `${account.home}/.local/share`;
  const ownFile = `${configHome}/containers/storage.conf`;
  const usual = `${dataHome}/containers/storage`;
  const named = login["CONTAINERS_STORAGE_CONF"];
  const files =
    named === undefined ? [ownFile, "/etc/containers/storage.conf", "/usr/share/containers/storage.conf"] : [named];
  for (const file of files) {
    const storage = readOne(file);
    if (storage === undefined) continue;
    // A graphroot of the system's own file is root's store; only the user's file may move the user's with it.
    const path = storage.rootless_storage_path ?? (file === ownFile || file === named ? storage.graphroot : undefined);
    return {
      file,
      ownFile,
      driver: storage.driver || undefined,
      graphRoot: path ? expand(path, account, login) : usual,
    };
  }
  return { file: undefined, ownFile, driver: undefined, graphRoot: usual };
}

function readOne(file: string): v.InferOutput<typeof schema>["storage"] | undefined {
  const text = readPlainFile(file);
  if (text === undefined) return undefined;
  const toml = readToml(text);
  const parsed = "reason" in toml ? undefined : v.safeParse(schema, toml.table);
  // What cannot be understood Podman complains of itself.
  return parsed?.success === true ? parsed.output.storage : {};
}

function expand(path: string, account: Account, login: Environment): string {
  const values: Readonly<Record<string, string>> = {
    ...login,
    HOME: account.home,
    USER: account.name,
    UID: String(account.uid),
  };
  return path.replaceAll(
    /\$(?:\{(\w+)\}|(\w+))/g,
    (_, braced?: string, bare?: string) => values[braced ?? bare ?? ""] ?? "",
  );
}
