import { type CommandDescription, helpOption } from "./description.ts";

export const reapCommand = {
  name: "reap",
  audience: "administrators",
  summary: "find and remove what dead jobs have left",
  operands: [],
  description: [
    "Finds what dead CI jobs have left: containers, processes, jobs of the scheduler, scripts directories, unfinished archives and those beyond `archive_cache_size`, and builds directories past `static_dir_retention`. It says what and how much, and removes it with `--yes`. What can belong to a job that lives is never touched.",
    "With `--batch-job` root gets the exit code 0 also when something could not be removed: a scheduler takes a node away from everybody when its epilog fails, and what a user's Podman answers is the user's to choose.",
    "A job is dead when the process of GitLab Runner that started it is gone, or an hour after GitLab's time limit for it.",
  ],
  options: {
    configuration: {
      type: "string",
      value: "FILE",
      summary: "Jacamar's configuration (default: /etc/gitlab-runner/jacamar.toml)",
      completes: "file",
    },
    yes: { type: "boolean", summary: "remove what is found" },
    user: { type: "string", value: "NAME", summary: "as root: of that user, as that user", completes: "account" },
    "all-users": { type: "boolean", summary: "as root: of all users, each as that user" },
    "batch-job": {
      type: "string",
      value: "ID",
      summary:
        "for the epilog of a scheduler: on this node, the containers of that job of the scheduler, which has ended",
    },
    help: helpOption,
  },
  exitCodes: { 0: "all went well", 1: "something could not be removed", 2: "the call or the configuration is wrong" },
  examples: [
    {
      does: "clean up after a crash, for everybody",
      call: "jacamar reap --configuration /etc/gitlab-runner/jacamar.toml --all-users --yes",
    },
    {
      does: "in Slurm's epilog",
      call: 'jacamar reap --configuration /etc/gitlab-runner/jacamar.toml --yes --user "$SLURM_JOB_USER" --batch-job "$SLURM_JOB_ID"',
    },
  ],
} as const satisfies CommandDescription;
