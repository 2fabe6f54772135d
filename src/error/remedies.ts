import type { ErrorCode } from "./codes.ts";

/** Why an error comes about as a rule, and what to do: for the reference page of errors. Messages carry hints of their own. */
export const remedies: Readonly<Record<ErrorCode, string>> = {
  usage:
    "The call has an option or a word too many or too few. `jacamar --help` and `jacamar COMMAND --help` list them; in the runner's config.toml compare with [README](../README.md).",
  internal:
    "Something happened that nobody had thought of. The job log shows an id; the system log has the details under it. Report them, without tokens.",
  interrupted:
    "The job was cancelled, ran into its timeout, or the runner was shut down. All that the stage had started has been ended.",
  config_invalid:
    "`jacamar check FILE` shows every mistake at once, with line and column. Edits count from the next job on.",
  config_unreadable:
    "The file must belong to root or to the account that reads it, and nobody else may write it: `chown root FILE; chmod 644 FILE`.",
  runner_contract:
    "The program was not called by GitLab Runner as a custom executor, or by a runner older than 14.0. To see a job without a runner: `jacamar try`.",
  state_missing:
    "`prepare`, `run` and `cleanup` need what `config` has answered. Check that all four `*_exec` and `*_args` in the runner's config.toml call the same program.",
  job_response_invalid:
    "The runner's temporary directory may be full, or is cleaned while jobs run. Look at the space in `TMPDIR` of the runner.",
  account_unknown: "Ask the name service: `getent passwd NAME`. The home must be an absolute path. Root runs no jobs.",
  downscope_failed:
    "The door to the user's account could not be opened, or not be closed behind it. [administration.md](administration.md) has what each way of downscoping needs, and how to check it.",
  job_refused:
    "The job log shows an id. The reason, with every rule, stands in the system log under it: [authorization.md](authorization.md). `jacamar explain` asks the same rules.",
  authorization_failed:
    "Something that the decision needs did not answer: the name service, the site's RunAs script, or GitLab on who the user is. The system log has it under the id of the job log.",
  keys_unavailable:
    "From the machine of the runner: `curl GITLAB/oauth/discovery/keys`. Behind a proxy or with certificates of your own: `tls-ca-file`, `HTTPS_PROXY`.",
  id_token_missing:
    "Add the `id_tokens:` lines that the message shows to the job in `.gitlab-ci.yml`. Their name is `jwt_env_variable` of the configuration.",
  builds_dir_busy:
    "Two runners with the same token share a `data_dir`, perhaps on two machines, and `static_builds_dir` is on. Register each of them by itself, or give each a `data_dir` of its own.",
  builds_dir_invalid:
    "Give `CUSTOM_CI_BUILDS_DIR` an absolute path to a directory of your own that nobody else can write to, or remove it.",
  directory_unsafe:
    "The message names the directory. It must belong to the job's user, with mode 0700: `chmod 700 DIRECTORY`. A symbolic link must be root's or the user's own.",
  directory_failed:
    "The message names path and reason (rights, a read-only file system, a missing mount). Try as the user: `mkdir -p PATH`.",
  disk_full:
    "Make room, or ask for a larger quota: `df -h DIRECTORY`, `quota`. Images: `podman image prune --all`. Left by dead jobs: `jacamar reap`.",
  shell_failed:
    "There must be a Bash; `shell_path` names it. If a login ends before it is ready, a start-up file calls `exit` or `exec`.",
  script_failed:
    "A command of the job failed; its own output stands above. GitLab shows its exit code, and `allow_failure: exit_codes` knows it.",
  script_lost:
    "An entrypoint that does not run the command that it is given, or a start-up file of Bash that calls `exit`.",
  variable_invalid: "Remove the variable that the message names from the job: the runner sets it.",
  image_missing: "Add `image:` to the job, or ask the administrator for a `default_image`.",
  image_name_invalid: "Write it as `registry/group/name:tag`. A variable in it may be empty.",
  image_refused: "Use an image that the administrator allows. The message shows the list.",
  entrypoint_failed:
    'An entrypoint must end by running its arguments: `exec "$@"`. Leave `image:entrypoint` out to use a shell.',
  image_options_invalid: "The message says which option. An image needs `/bin/bash` or `/bin/sh`.",
  pull_policy_refused: "Take `pull_policy` out of the job, or use the administrator's.",
  image_not_found:
    "Check the name. For a private image of another project: `DOCKER_AUTH_CONFIG`, or the job token permissions of that project. [podman.md](podman.md) has the order of credentials.",
  image_pull_failed: "Podman's own words stand in the log. The registry or the network may be down: retry the job.",
  image_archive_failed: "Archives lie in `data_dir`. Look at its space and quota, and at what Podman says.",
  volume_invalid:
    "The message names the variable and what is wrong with it: `source:target[:options]`, both absolute, and the source must be there.",
  registry_auth_invalid:
    "Use a CI variable of type file for `REGISTRY_AUTH_FILE`; `DOCKER_AUTH_CONFIG` is JSON with `auths`.",
  prep_script_failed: "Its output stands in the job log. As the user: run the script by hand.",
  podman_missing:
    "Install Podman 4.3 or newer, or set `application_path`. `jacamar doctor --user NAME` looks at it as a job would.",
  podman_failed:
    "`jacamar doctor --user NAME` finds the usual reasons: subordinate ids, user namespaces, storage, runtime. By hand, as the user: `podman run --rm IMAGE true`.",
  container_left: "As the user: `podman rm --force ID`. `jacamar reap` finds such containers.",
  batch_arguments_invalid:
    "The message names variable and argument. Names, output files, waiting and the script are the runner's to set: [batch.md](batch.md).",
  batch_refused: "The scheduler's own message stands in the log: account, partition or queue, time, nodes.",
  batch_limit: "Ask for more time or memory in `SCHEDULER_PARAMETERS`.",
  batch_ended:
    "Somebody cancelled the job, its node failed, or it was preempted. Without a reason: does the node see `data_dir`?",
  batch_left:
    "Cancel it by hand with the scheduler's own command. `jacamar reap` does so when the scheduler answers again and the time of the CI job is over; until then its files stay.",
  scheduler_unavailable:
    "The programs are looked for on the PATH of the user's login, or in `scheduler_bin`. Try as the user: `sinfo`, `flux resource list`, `qstat -B`, `bhosts`.",
  queue_timeout: "Retry when the queue is shorter, or ask the administrator for a longer `queue_timeout`.",
  allocation_gone: "Run the job with `JACAMAR_SCHEDULER_ACTION=allocate` again, and ask for enough time.",
  process_left:
    "It hangs in the system, as a rule on a file server that does not answer. `ps -o pid,stat,wchan -p PID`.",
  log_failed: "No job runs without its line in the log. Mend the log, or set `required = false` in `[auth.logging]`.",
  report_failed:
    "The message names the file. The record is off by default: [record.md](record.md) has how to switch it on.",
  pipeline_invalid: "The message has the place in the file. GitLab's own check: CI/CD, Pipeline editor.",
};
