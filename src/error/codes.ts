/**
 * Who has to act on an error. It picks the exit code: `job` is the CI job's own fault and is not retried, `site` is
 * the machine's or the administrator's and is retried by the runner, `driver` is a bug of ours.
 */
export type Blame = "job" | "site" | "driver";

/** Every error code, with its blame and what it means. A code is stable: sites search their logs for it. */
export const errorCodes = {
  usage: { blame: "site", means: "The program was called with arguments that it does not know." },
  internal: { blame: "driver", means: "A defect of this program." },
  interrupted: {
    blame: "site",
    means: "The runner ended this stage with a signal: cancelled, timed out or shut down.",
  },
  config_invalid: { blame: "site", means: "The configuration file has mistakes; no job runs with it." },
  config_unreadable: {
    blame: "site",
    means: "The configuration file cannot be read, or others than its owner can write it.",
  },
  runner_contract: {
    blame: "site",
    means: "GitLab Runner did not hand over what its custom executor contract promises.",
  },
  state_missing: { blame: "site", means: "A stage ran without the state that the config stage hands on." },
  job_response_invalid: { blame: "site", means: "The job response file is missing, too large, truncated or not JSON." },
  account_unknown: { blame: "site", means: "The system does not know the account, or its entry cannot be used." },
  downscope_failed: {
    blame: "site",
    means:
      "The rights of the runner's account could not be given up for good, or the filter on system calls not be loaded; nothing was run.",
  },
  job_refused: {
    blame: "job",
    means: "This job may not run here: the system log has the reasons under the id that the job log shows.",
  },
  authorization_failed: {
    blame: "site",
    means: "Whether the job may run could not be decided: the system log has the reasons.",
  },
  keys_unavailable: {
    blame: "site",
    means: "The keys by which GitLab's tokens are verified cannot be had.",
  },
  id_token_missing: { blame: "job", means: "The job has no ID token, so it is not known on whose behalf it runs." },
  builds_dir_invalid: { blame: "job", means: "The job asked for a builds directory that cannot be used." },
  builds_dir_busy: {
    blame: "site",
    means: "Another runner with the same token is running a job in the project's static builds directory.",
  },
  directory_unsafe: { blame: "site", means: "A directory belongs to somebody else, or others could change it." },
  directory_failed: { blame: "site", means: "A directory or file of the job could not be made." },
  disk_full: { blame: "site", means: "The file system or the user's quota is full." },
  shell_failed: { blame: "site", means: "Bash could not be started." },
  script_failed: { blame: "job", means: "The script ended with a code other than zero." },
  script_lost: { blame: "site", means: "The script ended without leaving its exit status." },
  variable_invalid: {
    blame: "job",
    means: "A CI variable that the runner sets was overridden with a value that cannot be used.",
  },
  image_missing: { blame: "job", means: "The runner accepts container jobs only, and the job names no image." },
  image_name_invalid: { blame: "job", means: "The image name is not one." },
  image_refused: { blame: "job", means: "The administrator's image_allowlist does not allow the image." },
  entrypoint_failed: { blame: "job", means: "The entrypoint that the job chose did not run the script." },
  image_options_invalid: { blame: "job", means: "The image's entrypoint, user or platform cannot be used." },
  pull_policy_refused: {
    blame: "job",
    means: "The administrator does not allow the pull policy that the job asks for.",
  },
  image_not_found: { blame: "job", means: "The registry does not know the image, or does not let the job have it." },
  image_pull_failed: { blame: "site", means: "The image could not be pulled for a reason that is not the job's." },
  image_archive_failed: { blame: "site", means: "The pulled image could not be archived." },
  volume_invalid: { blame: "job", means: "A volume variable of the job cannot be used." },
  registry_auth_invalid: { blame: "job", means: "The registry credentials that the job gave cannot be used." },
  prep_script_failed: { blame: "site", means: "The administrator's prep_script failed." },
  podman_missing: { blame: "site", means: "Podman was not found, or cannot be started." },
  podman_failed: { blame: "site", means: "Podman failed before the job's script ran." },
  container_left: { blame: "site", means: "A container of the job could not be removed." },
  batch_arguments_invalid: { blame: "job", means: "The job's arguments for the scheduler cannot be used." },
  batch_refused: { blame: "job", means: "The scheduler refused the job as it was asked for." },
  batch_limit: { blame: "job", means: "The scheduler ended the job at its time or memory limit." },
  batch_ended: {
    blame: "site",
    means:
      "The scheduler ended the job before its script left an exit status: a node failed, or somebody cancelled it.",
  },
  batch_left: { blame: "site", means: "A job of the scheduler could not be ended, or nobody knows whether it was." },
  scheduler_unavailable: { blame: "site", means: "The scheduler's programs are missing, or it does not answer." },
  queue_timeout: { blame: "site", means: "The job waited in the queue for longer than the administrator allows." },
  allocation_gone: { blame: "job", means: "The shared allocation that the job wants to use is not there." },
  process_left: { blame: "site", means: "A process of the job could not be ended." },
  log_failed: {
    blame: "site",
    means: "The system log cannot be written, and the configuration lets no job run without it.",
  },
  report_failed: {
    blame: "site",
    means: "The report cannot be made: a file cannot be read or written, or holds no job.",
  },
  pipeline_invalid: { blame: "job", means: "The pipeline file cannot be understood." },
} as const satisfies Record<string, { blame: Blame; means: string }>;

export type ErrorCode = keyof typeof errorCodes;
