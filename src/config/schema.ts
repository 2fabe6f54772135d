import * as v from "valibot";
import {
  absolutePath,
  assignments,
  boolean,
  byteSize,
  choice,
  dataPath,
  duration,
  executor,
  image,
  key,
  metricsFile,
  oneLine,
  pullPolicy,
  recordLocation,
  regularExpressions,
  sha256,
  strings,
  stringsOrUnset,
  systemCalls,
  table,
  text,
  unset,
  url,
  variableName,
  variableNames,
  wholeNumber,
} from "./kinds.ts";

export type { Seconds } from "./duration.ts";

const commandLine = [
  "The scripts that upload and fetch artifacts call `gitlab-runner … --token TOKEN`. With `false` the token goes to the program",
  "in its environment instead, which only the job's user can read. The scripts are otherwise as the runner wrote them.",
  "",
  "Tokens in Git's addresses are for the runner to avoid: set `FF_GIT_URLS_WITHOUT_TOKENS = true` in `[runners.feature_flags]`",
  "of its `config.toml`.",
].join("\n");

const staticBuilds = [
  "A project has the same builds directory in whichever slot its jobs run: `builds/<runner>/project-<project id>`, and the",
  "work tree in it at `<group>/<project>`. So incremental builds find what the job before has left, and paths that programs",
  "remember stay right. Jobs of a project that run at once have directories of their own: `project-<project id>-1` and so on, as",
  "GitLab Runner counts them (`CI_CONCURRENT_PROJECT_ID`). When another runner with the same token already runs a job in the",
  "directory, the job fails and says so.",
  "",
  "Cleanup removes directories that no job has used for `static_dir_retention` days.",
].join("\n");

const pullPolicies = [
  "- `always`: ask the registry each time.",
  "- `missing` (or `if-not-present`, GitLab's name for it): pull what is not on the machine.",
  "- `newer`: pull when the registry has a newer one.",
  "- `never`: use only what is on the machine.",
].join("\n");

const anchoring = [
  "The expressions are matched in linear time by an RE2 engine, so no expression and no image name can make a job hang.",
  "There are no look-arounds and no back references.",
  "",
  "An expression matches anywhere in the name unless it is anchored: `registry.example.com/group/` also matches",
  "`evil.example/registry.example.com/group/x`. Start it with `^` and end it with `$`. With `|`, put the alternatives in",
  "parentheses: `^(a|b)$`, because `^a|b$` anchors neither. Whether to anchor is your choice; the check of a",
  "configuration only warns.",
  "",
  "Use single quotes, in which TOML takes a backslash as it is:",
  "",
  "```toml",
  "image_allowlist = ['^registry\\.example\\.com/group/.*$']",
  "```",
].join("\n");

const allowedCalls = [
  "A name that is in `block_calls`, too, stays blocked. The list must hold what this program itself needs, else no job runs, and the",
  "message names what is missing; beside that Bash and every program of a job need theirs. `strace -f -c` tells which those are.",
  "",
  "With `block_all = false` the list has no effect.",
].join("\n");

const podman = table({
  application_path: key(
    {
      description: "The Podman program, as an absolute path. All commands use it.",
      unset: "`podman` on the job user's `PATH`",
    },
    v.optional(absolutePath("/usr/bin/podman"), unset),
  ),
  runner_image: key(
    {
      description:
        "The image in which the runner's own stages (Git, artifacts, caches) run. It needs Bash, Git, Git LFS, gitlab-runner and hostname.",
      unset: "these stages run on the host",
    },
    v.optional(image(), unset),
  ),
  runner_options: key(
    { description: "Further options of `podman run` for containers of `runner_image`, one argument to a string." },
    v.optional(strings(), []),
  ),
  runner_entry_point: key(
    {
      description: "The entry point for containers of `runner_image`. An empty list means not set.",
      unset: '`["/bin/bash", "-l", "-c"]`, with `/bin/sh` where the image has no Bash',
    },
    v.optional(stringsOrUnset("/bin/bash"), unset),
  ),
  runner_pull_policy: key(
    {
      description: "When `runner_image` is pulled. It has no effect on the users' images.",
      unset: "`missing`",
      details: pullPolicies,
    },
    v.optional(pullPolicy(), unset),
  ),
  default_image: key(
    {
      description: "The image for jobs that name none. Only used when `force_mechanism` is true.",
      unset: "a forced job without an image is refused",
    },
    v.optional(image(), unset),
  ),
  custom_options: key(
    { description: "Further options of `podman run` for the users' steps, one argument to a string." },
    v.optional(strings(), []),
  ),
  user_entry_point: key(
    {
      description: "The entry point for the users' steps. An empty list means not set.",
      unset:
        'the `image:entrypoint` of the job, or `["/bin/bash", "-l", "-c"]`, with `/bin/sh` where the image has no Bash',
    },
    v.optional(stringsOrUnset("/bin/bash"), unset),
  ),
  image_pull_policy: key(
    {
      description: "When the users' images are pulled. It has no effect on `runner_image`.",
      unset: "the job's own `pull_policy`, or `always`",
    },
    v.optional(pullPolicy(), unset),
  ),
  step_script_only: key(
    {
      description:
        "Only the user's own script (`before_script` and `script`) runs in a container; every other stage runs on the host.",
    },
    v.optional(boolean(), false),
  ),
  disable_container_removal: key(
    { description: "Containers are run without `--rm` and stay after they ended." },
    v.optional(boolean(), false),
  ),
  image_allowlist: key(
    {
      description:
        "Regular expressions (RE2). A job may use an image only when one of them matches. An empty list allows no image.",
      unset: "all images are allowed",
      details: anchoring,
    },
    v.optional(regularExpressions(), unset),
  ),
  user_volume_variable: key(
    {
      description:
        "The prefix of the CI variables with which users mount their own volumes, such as `PODMAN_VOLUMES` for `PODMAN_VOLUMES_0`.",
      unset: "users cannot mount volumes",
    },
    v.optional(variableName("PODMAN_VOLUMES"), unset),
  ),
  prep_script: key(
    {
      description:
        "A script of the administrator, as an absolute path. It runs as the user in the prepare stage, before any Podman command.",
      unset: "no script",
    },
    v.optional(absolutePath("/etc/gitlab-runner/prep.bash"), unset),
  ),
  archive_format: key(
    {
      description: "How a user's image is archived after it was pulled; `none` means not at all.",
      unset: "automatic: `none` with the shell executor, `docker-archive` with a batch executor",
    },
    v.optional(choice(["none", "docker-archive", "docker-dir", "oci-archive", "oci-dir"]), unset),
  ),
  archive_cache_size: key(
    {
      description:
        "How much disk the archived images of one user may take. The least recently used ones go first, but never one that a job uses.",
      unset: "no limit",
    },
    v.optional(byteSize(), unset),
  ),
  tty: key(
    { description: "Containers get a terminal (`--tty`). Programs then colour their output as they do for people." },
    v.optional(boolean(), true),
  ),
  selinux_labels: key(
    {
      description:
        "Volumes get `:Z` or `:z`, so that containers may use them where SELinux is on. Directories are labelled once per job.",
    },
    v.optional(boolean(), true),
  ),
});

const general = table({
  executor: key(
    {
      description:
        "Where the users' scripts run. `shell`: on the machine of the runner. `slurm` (or `sbatch`), `flux`, `pbs`, `lsf` (or `bsub`): as a job of that scheduler.",
      details:
        "With a scheduler, `before_script` and `script` become one job of it; Git, artifacts, caches and `after_script` run on the machine of the runner. [batch] has the keys for it. `cobalt` is not supported.",
      refused: { cobalt: 'the executor "cobalt" is not supported and will not be' },
    },
    executor(),
  ),
  data_dir: key(
    {
      description:
        "The root of all files of a job. `$HOME` and `~` at its start mean the home of the job's user. The directories in it belong to the user, with mode 0700.",
    },
    dataPath(),
  ),
  retain_logs: key(
    { description: "Files that the executor made are kept when the job ends." },
    v.optional(boolean(), false),
  ),
  custom_build_dir: key(
    { description: "Users may choose their builds directory with the CI variable `CUSTOM_CI_BUILDS_DIR`." },
    v.optional(boolean(), false),
  ),
  name: key(
    { description: "A label of this instance for the system log.", unset: "no label" },
    v.optional(oneLine(), unset),
  ),
  kill_timeout: key(
    { description: "The longest wait between SIGTERM and SIGKILL when a job is ended." },
    v.optional(duration(), "120s"),
  ),
  shell_path: key(
    {
      description: "The Bash that runs scripts on the host, as an absolute path.",
      unset: "the first of `/bin/bash`, `/usr/bin/bash` and `/usr/local/bin/bash`",
    },
    v.optional(absolutePath("/bin/bash"), unset),
  ),
  job_message: key(
    { description: "A text for the users, shown at the start of each job.", unset: "no text" },
    v.optional(text(), unset),
  ),
  gitlab_server: key(
    {
      description: "The GitLab server that is trusted for all web requests, whatever the job says.",
      unset: "no server",
    },
    v.optional(url(), unset),
  ),
  "tls-ca-file": key(
    {
      description: "A file with the certificates that HTTPS trusts, as an absolute path.",
      unset: "the system's certificates",
    },
    v.optional(absolutePath("/etc/gitlab-runner/ca.pem"), unset),
  ),
  unrestricted_cmd_line: key(
    {
      description:
        "Tokens may stand on the command lines of `gitlab-runner` in the runner's own scripts, where every user of the machine can read them.",
      details: commandLine,
    },
    v.optional(boolean(), false),
  ),
  static_builds_dir: key(
    { description: "The builds directory does not depend on the job slot.", details: staticBuilds },
    v.optional(boolean(), false),
  ),
  static_dir_retention: key(
    {
      description:
        "After how many days without use a static builds directory is removed during cleanup; 0 means never.",
    },
    v.optional(wholeNumber(), 7),
  ),
  group_permissions: key(
    {
      description:
        "The group may read the data directories and enter them. What a job writes in a container is open to it, too: an image's umask is 022 as a rule. CI variables of type file are not.",
    },
    v.optional(boolean(), false),
  ),
  jwt_env_variable: key(
    { description: "The CI variable that holds the job's ID token." },
    v.optional(variableName("SITE_ID_TOKEN"), "CI_JOB_JWT"),
  ),
  run_mechanism: key(
    {
      description: "How scripts run. `podman`: in a rootless container when the job names an image.",
      unset: "in Bash on the host",
    },
    v.optional(choice(["podman"]), unset),
  ),
  force_mechanism: key(
    { description: "Every job uses `run_mechanism`, also one that names no image." },
    v.optional(boolean(), false),
  ),
  podman: key({ description: "The Podman run mechanism." }, v.optional(podman, {})),
});

const auth = table({
  downscope: key(
    {
      description:
        "How the rights of the runner are given up. `setuid`: as root, or with the file capabilities `cap_setuid,cap_setgid`. `sudo`: as a service account. `none`: jobs run as the account of the runner.",
      unset: "no job runs",
      refused: { su: "su asks for a password or for root, and root needs no su: use setuid or sudo" },
    },
    v.optional(choice(["setuid", "sudo", "none"]), unset),
  ),
  jacamar_path: key(
    {
      description: "The `jacamar` program, as an absolute path.",
      unset: "the one beside `jacamar-auth`",
    },
    v.optional(absolutePath("/opt/jacamar/bin/jacamar"), unset),
  ),
  user_allowlist: key({ description: "Users who may run jobs.", unset: "all" }, v.optional(strings("alice"), unset)),
  user_blocklist: key(
    { description: "Users who may not run jobs.", unset: "nobody" },
    v.optional(strings("alice"), unset),
  ),
  groups_allowlist: key(
    { description: "Groups whose members may run jobs.", unset: "all" },
    v.optional(strings("staff"), unset),
  ),
  groups_blocklist: key(
    { description: "Groups whose members may not run jobs.", unset: "none" },
    v.optional(strings("staff"), unset),
  ),
  shell_allowlist: key(
    { description: "Login shells that an account must have one of.", unset: "all" },
    v.optional(strings("/bin/bash"), unset),
  ),
  lists_pre_validation: key(
    { description: "The lists also apply to the identity before RunAs changes it." },
    v.optional(boolean(), false),
  ),
  root_dir_creation: key(
    {
      description:
        "The privileged side makes `<data_dir>/<user>`, for directories in which users cannot make their own.",
    },
    v.optional(boolean(), false),
  ),
  pipeline_source_allowlist: key(
    { description: "Values that the claim `pipeline_source` may have.", unset: "all" },
    v.optional(strings("push"), unset),
  ),
  allow_bot_accounts: key(
    { description: "Bot and service accounts of GitLab may run jobs." },
    v.optional(boolean(), false),
  ),
  ask_account_kind: key(
    {
      description:
        "GitLab is asked, once for each user, whether it is a person. Off, whoever can make a service account in GitLab with the login of an account here may be able to run jobs as it.",
    },
    v.optional(boolean(), true),
  ),
  jwt_required_aud: key(
    { description: "The audience that the ID token must name.", unset: "any" },
    v.optional(oneLine(), unset),
  ),
  jwt_exp_delay: key(
    { description: "How far the clocks of the runner and of GitLab may differ." },
    v.optional(duration(), "0s"),
  ),
  downscope_env: key(
    {
      description: "Variables for the process that runs as the user.",
      confidential: true,
    },
    v.optional(assignments(), []),
  ),
  max_env_chars: key(
    { description: "The largest size of a CI variable, in characters.", unset: "no limit" },
    v.optional(wholeNumber(), unset),
  ),
  no_new_privs: key(
    {
      description: "The user's process can gain no rights by running a program. Rootless Podman does not work with it.",
    },
    v.optional(boolean(), false),
  ),
  runas: key(
    { description: "A script of the site that maps or refuses identities." },
    v.optional(
      table({
        validation_script: key(
          { description: "The script, as an absolute path.", unset: "no script" },
          v.optional(absolutePath("/etc/gitlab-runner/runas"), unset),
        ),
        sha256: key(
          { description: "The SHA-256 sum that the script must have.", unset: "not checked" },
          v.optional(sha256(), unset),
        ),
        user_variable: key(
          {
            description: "The CI variable with which a user names the account to run as.",
            unset: "users cannot ask",
          },
          v.optional(variableName("RUNAS_USER"), unset),
        ),
        validation_env: key(
          {
            description: "Variables for the script.",
            confidential: true,
          },
          v.optional(assignments(), []),
        ),
      }),
      unset,
    ),
  ),
  logging: key(
    { description: "The system log of every decision." },
    v.optional(
      table({
        enabled: key({ description: "Decisions are logged." }, v.optional(boolean(), true)),
        required: key({ description: "No job runs when its decision cannot be logged." }, v.optional(boolean(), true)),
        level: key(
          { description: "The least important messages that are logged." },
          v.optional(choice(["debug", "info", "warn", "error"]), "info"),
        ),
        location: key(
          {
            description: "Where to: `syslog`, `journald`, or a file as an absolute path.",
          },
          v.optional(oneLine(), "syslog"),
        ),
        network: key(
          { description: "The network of a remote syslog.", unset: "the local syslog" },
          v.optional(choice(["tcp", "udp"]), unset),
        ),
        address: key(
          {
            description: "The address of a remote syslog, as `host:port`.",
            unset: "the local syslog",
          },
          v.optional(oneLine(), unset),
        ),
      }),
      unset,
    ),
  ),
  seccomp: key(
    {
      description:
        "A filter on the system calls of the user's processes. [The administrator's guide](administration.md#a-filter-on-system-calls) says what it needs, and what it does not reach.",
    },
    v.optional(
      table({
        block_calls: key(
          { description: "System calls that fail, by name.", unset: "none" },
          v.optional(systemCalls("ptrace"), unset),
        ),
        allow_calls: key(
          { description: "The only system calls that work, by name.", unset: "all", details: allowedCalls },
          v.optional(systemCalls("read"), unset),
        ),
        block_all: key(
          {
            description: "Every system call fails that `allow_calls` does not name.",
            unset: "`true` when `allow_calls` names a call, else `false`",
          },
          v.optional(boolean(), unset),
        ),
        limit_setuid: key(
          {
            description:
              "`setuid` and `setgid` work for the job's own user and group alone; `setreuid`, `setregid`, `setresuid` and `setresgid` fail. Rootless Podman does not work with it.",
          },
          v.optional(boolean(), false),
        ),
        disabled: key(
          { description: "No filter is loaded, whatever the other keys say." },
          v.optional(boolean(), false),
        ),
      }),
      unset,
    ),
  ),
});

const batch = table({
  arguments_variable: key(
    { description: "The CI variables that hold a user's arguments for the scheduler." },
    v.optional(variableNames(), ["SCHEDULER_PARAMETERS"]),
  ),
  scheduler_bin: key(
    {
      description: "The directory of the scheduler's programs, as an absolute path.",
      unset: "the user's `PATH`",
    },
    v.optional(absolutePath("/opt/slurm/bin"), unset),
  ),
  env_vars: key(
    {
      description:
        "Variables for the scheduler's programs, and with them for the jobs, where the scheduler hands its caller's variables on. `$VAR` and `${VAR}` stand for variables of the user's login.",
      confidential: true,
    },
    v.optional(assignments(), []),
  ),
  command_delay: key(
    { description: "The longest time between two questions to the scheduler." },
    v.optional(duration(), "30s"),
  ),
  nfs_timeout: key(
    { description: "How long to wait until a shared file system shows a file." },
    v.optional(duration(), "30s"),
  ),
  queue_timeout: key(
    { description: "How long a job may wait in the queue.", unset: "no limit" },
    v.optional(duration(), unset),
  ),
  allow_illegal_args: key(
    { description: "Users may give arguments that belong to this program, such as `--output`." },
    v.optional(boolean(), false),
  ),
});

const record = table({
  location: key(
    {
      description:
        "Where to: `syslog`, `journald`, or a file: an absolute path, or one that starts with `$HOME`, `~` or `$DATA_DIR` (the user's directory below `data_dir`) for a file of each user's own.",
      details:
        "A file with an absolute path is written with the rights of the account that GitLab Runner has, so users cannot change it; [docs/record.md](record.md) says what can be trusted. Its directory must be there, belong to root or that account, and be closed to others.",
    },
    recordLocation(),
  ),
  max_size: key(
    { description: "How large the file becomes before a new one is begun." },
    v.optional(byteSize(), "64MiB"),
  ),
  keep: key({ description: "How many older files are kept." }, v.optional(wholeNumber(), 10)),
  prometheus_file: key(
    {
      description:
        "A text file for the textfile collector of Prometheus' node_exporter, as an absolute path that ends in `.prom`. Only with an absolute path in `location`.",
      unset: "no such file",
    },
    v.optional(metricsFile(), unset),
  ),
});

/**
 * The whole configuration file: the one source of the types, the JSON Schema and the reference page.
 * Keys are named as in the file. Where a value of the file is not one of the program (a duration), parsing makes it one.
 */
export const configSchema = table({
  general: key({ description: "What holds for every job." }, general),
  auth: key(
    { description: "Who may run jobs, and as whom. Only `jacamar-auth` looks at it." },
    v.optional(auth, unset),
  ),
  record: key(
    { description: "The record of every job: a line of JSON for each stage and each job.", unset: "no record" },
    v.optional(record, unset),
  ),
  batch: key({ description: "What holds for all schedulers." }, v.optional(batch, {})),
});

/** The configuration as the program uses it: checked, complete with defaults. A key without a default can be undefined. */
export type Config = v.InferOutput<typeof configSchema>;
export type GeneralConfig = Config["general"];
export type ExecutorName = GeneralConfig["executor"];
export type BatchConfig = Config["batch"];
export type PodmanConfig = GeneralConfig["podman"];
