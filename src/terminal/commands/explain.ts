import { type CommandDescription, helpOption } from "./description.ts";

/** The stages that GitLab Runner sends (facts/gitlab-runner.md, 1.6). */
const stages = [
  "prepare_script",
  "get_sources",
  "clear_worktree",
  "restore_cache",
  "download_artifacts",
  "build_script",
  "step_script",
  "after_script",
  "archive_cache",
  "archive_cache_on_failure",
  "upload_artifacts_on_success",
  "upload_artifacts_on_failure",
  "cleanup_file_variables",
] as const;

export const explainCommand = {
  name: "explain",
  audience: "administrators",
  summary: "tell what would become of a job, and why",
  operands: [{ name: "FILE", optional: true, completes: "file" }],
  description: [
    "Tells as whom a job would run and by which rule, its directories, which stages run where, and the very commands and the job file that would be run. Nothing is executed, and nothing is made.",
    "The job is a saved job response, or with `--job` one of a pipeline file (default: `.gitlab-ci.yml`).",
  ],
  options: {
    configuration: {
      type: "string",
      value: "FILE",
      summary: "Jacamar's configuration (default: /etc/gitlab-runner/jacamar.toml)",
      completes: "file",
    },
    response: {
      type: "string",
      value: "FILE",
      summary: "a job response, as GitLab Runner writes it to JOB_RESPONSE_FILE",
      completes: "file",
    },
    job: { type: "string", value: "NAME", summary: "a job of the pipeline file" },
    login: {
      type: "string",
      value: "NAME",
      summary: "whose GitLab login it is (default: GITLAB_USER_LOGIN of the job, or your own name)",
      completes: "account",
    },
    "run-as": {
      type: "string",
      value: "NAME",
      summary: "what the site's RunAs script answers: it is not asked",
      completes: "account",
    },
    "runner-id": {
      type: "string",
      value: "N",
      summary: "the user id of GitLab Runner's account: no job runs as that (default 0, root)",
    },
    "runner-token": {
      type: "string",
      value: "TOKEN",
      summary: "the runner's short token, which is in the directories (default runner)",
    },
    slot: { type: "string", value: "N", summary: "the number of the job slot, likewise (default 0)" },
    stage: {
      type: "string",
      multiple: true,
      value: "STAGE",
      summary: "show the commands of this stage; may be repeated (default: build_script and after_script)",
      completes: { words: stages },
    },
    help: helpOption,
  },
  exitCodes: { 0: "the job would run", 1: "the job would be refused", 2: "the call or the configuration is wrong" },
  examples: [
    {
      does: "explain a job of the pipeline file here",
      call: "jacamar explain --configuration /etc/gitlab-runner/jacamar.toml --job test",
    },
  ],
} as const satisfies CommandDescription;
