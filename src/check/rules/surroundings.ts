import { statSync } from "node:fs";
import type { Path } from "../../config/inspect.ts";
import { show } from "../../config/problem.ts";
import { systemErrorCode } from "../../error/error.ts";
import type { Finding, Rule } from "../rule.ts";

export const dataDirectory: Rule = {
  name: "data-directory",
  severity: "warning",
  means: "`data_dir` is not there, or is no place for the users' directories.",
  why: "Below a `data_dir` outside the homes every user gets a directory. Where users cannot make theirs, jobs fail, unless `root_dir_creation` is on; where everybody can write and the sticky bit is missing, jobs are refused.",
  remedy: "`install -d -m 1777 DIR`, or `-m 0755` with `root_dir_creation = true` in `[auth]`.",
  find: ({ config, elsewhere }) => {
    const directory = config.general.data_dir;
    if (elsewhere || !directory.startsWith("/")) return [];
    const why = whyNoPlace(directory, config.auth?.root_dir_creation === true);
    return why === undefined
      ? []
      : [{ path: ["general", "data_dir"], at: "value", message: `${show(directory)} ${why}` }];
  },
};

function whyNoPlace(directory: string, rootMakes: boolean): string | undefined {
  try {
    const status = statSync(directory);
    if (!status.isDirectory()) return "is not a directory";
    const mode = `mode 0${(status.mode & 0o7777).toString(8)}`;
    const othersWrite = (status.mode & 0o022) !== 0;
    if (othersWrite && (status.mode & 0o1000) === 0)
      return `can be written by others (${mode}) without the sticky bit, so no job runs with it`;
    if (!othersWrite && !rootMakes && status.uid === 0)
      return `is root's and closed to users (${mode}), who then cannot make their directories in it`;
    return undefined;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return "does not exist on this machine";
    return `cannot be looked at (${code ?? "unknown error"})`;
  }
}

export const readableSecrets: Rule = {
  name: "secret-readable",
  severity: "warning",
  means: "Everybody can read the file, and it sets variables that may hold secrets.",
  why: "`downscope_env`, `validation_env` and `env_vars` are the keys in which sites put passwords and tokens.",
  remedy:
    "`chmod 0640` with the runner's group, or `chmod 0600` when the runner is the owner. A file without secrets may stay as it is.",
  find: ({ config, file }) => {
    if (file === undefined || (file.mode & 0o004) === 0) return [];
    const { auth, batch } = config;
    const keys: readonly (readonly [readonly string[] | undefined, Path])[] = [
      [auth?.downscope_env, ["auth", "downscope_env"]],
      [auth?.runas?.validation_env, ["auth", "runas", "validation_env"]],
      [batch.env_vars, ["batch", "env_vars"]],
    ];
    return keys
      .filter(([list]) => list?.some(isSecret))
      .map(
        ([, path]): Finding => ({
          path,
          at: "key",
          message: "seems to hold a secret, and everybody can read the file",
        }),
      );
  },
};

function isSecret(assignment: string): boolean {
  const name = assignment.slice(0, assignment.indexOf("="));
  return /(?:TOKEN|SECRET|PASS(?:WORD|WD|PHRASE)?|CREDENTIAL|API_?KEY|PRIVATE)/i.test(name);
}
