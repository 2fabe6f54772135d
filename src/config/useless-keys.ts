import type { TomlTable } from "smol-toml";
import type { Fault, Path } from "./inspect.ts";
import type { Config } from "./schema.ts";
import { valueAt } from "./toml.ts";

/** Keys of the file that are right and have no effect with the others. No job asks this, only who checks a file. */
export function uselessKeys(config: Config, table: TomlTable): Fault[] {
  return rules(config)
    .filter(([useless, path]) => useless && valueAt(table, path) !== undefined)
    .map(([, path, why]): Fault => ({ path, at: "key", message: `has no effect ${why}`, rule: "no-effect" }))
    .filter(isOutermost());
}

type Rule = readonly [useless: boolean, path: Path, why: string];

function rules(config: Config): readonly Rule[] {
  const { run_mechanism: mechanism, force_mechanism: forced, podman } = config.general;
  const executor: string = config.general.executor;
  const general = (name: string): Path => ["general", name];
  const inPodman = (name: string): Path => ["general", "podman", name];
  return [
    [forced && mechanism === undefined, general("force_mechanism"), "without general.run_mechanism"],
    [mechanism === undefined, general("podman"), "without general.run_mechanism"],
    [!forced, inPodman("default_image"), "without general.force_mechanism"],
    ...["runner_options", "runner_entry_point", "runner_pull_policy"].map(
      (name): Rule => [podman.runner_image === undefined, inPodman(name), "without general.podman.runner_image"],
    ),
    ...["runner_image", "runner_options", "runner_entry_point", "runner_pull_policy"].map(
      (name): Rule => [podman.step_script_only, inPodman(name), "with general.podman.step_script_only"],
    ),
    [
      (podman.archive_format ?? (executor === "shell" ? "none" : "docker-archive")) === "none",
      inPodman("archive_cache_size"),
      "without general.podman.archive_format",
    ],
    [executor === "shell", ["batch"], 'with executor = "shell"'],
    [!config.general.static_builds_dir, general("static_dir_retention"), "without general.static_builds_dir"],
    ...authRules(config),
    ...recordRules(config),
  ];
}

function recordRules({ record }: Config): readonly Rule[] {
  const location = record?.location ?? "";
  const isLog = location === "syslog" || location === "journald";
  return [
    [!location.startsWith("/"), ["record", "prometheus_file"], "without an absolute path in record.location"],
    ...["max_size", "keep"].map((name): Rule => [isLog, ["record", name], "without a file in record.location"]),
  ];
}

function authRules({ auth }: Config): readonly Rule[] {
  if (auth === undefined) return [];
  const { user_allowlist: users, runas, logging, downscope } = auth;
  const inAuth = (...names: string[]): Path => ["auth", ...names];
  const noScript = runas?.validation_script === undefined;
  return [
    // docs/authorization.md: an allowlist of users decides before any list of groups is looked at.
    ...["groups_allowlist", "groups_blocklist"].map(
      (name): Rule => [users !== undefined, inAuth(name), "with auth.user_allowlist, which decides alone"],
    ),
    ...seccompRules(auth.seccomp),
    [noScript, inAuth("runas"), "without auth.runas.validation_script"],
    [noScript, inAuth("lists_pre_validation"), "without auth.runas.validation_script"],
    [downscope !== undefined && downscope !== "sudo", inAuth("jacamar_path"), 'without downscope = "sudo"'],
    [downscope === "none", inAuth("root_dir_creation"), 'with downscope = "none"'],
    ...["required", "level", "location", "network", "address"].map(
      (name): Rule => [logging?.enabled === false, inAuth("logging", name), "with auth.logging.enabled = false"],
    ),
  ];
}

function seccompRules(seccomp: NonNullable<Config["auth"]>["seccomp"]): readonly Rule[] {
  if (seccomp === undefined) return [];
  const { block_calls: blocked = [], allow_calls: allowed, block_all: all, disabled } = seccomp;
  const inSeccomp = (name: string): Path => ["auth", "seccomp", name];
  const isAllowList = all ?? (allowed ?? []).length > 0;
  return [
    ...["block_calls", "allow_calls", "block_all", "limit_setuid"].map(
      (name): Rule => [disabled, inSeccomp(name), "with auth.seccomp.disabled"],
    ),
    [all === false, inSeccomp("allow_calls"), "with auth.seccomp.block_all = false"],
    [
      all === undefined && allowed?.length === 0,
      inSeccomp("allow_calls"),
      "while it is empty, without auth.seccomp.block_all",
    ],
    [
      isAllowList && !blocked.some((name) => allowed?.includes(name)),
      inSeccomp("block_calls"),
      "where every call is blocked that auth.seccomp.allow_calls does not name",
    ],
  ];
}

/** Of a table and the keys in it only the table is told. */
function isOutermost(): (fault: Fault, index: number, all: readonly Fault[]) => boolean {
  const isBelow = (inner: Path, outer: Path) =>
    inner.length > outer.length && outer.every((step, index) => step === inner[index]);
  return ({ path }, index, all) =>
    !all.some((other) => isBelow(path, other.path)) &&
    all.findIndex((other) => JSON.stringify(other.path) === JSON.stringify(path)) === index;
}
