import { type CommandDescription, helpOption } from "./description.ts";

export const tryCommand = {
  name: "try",
  audience: "everybody",
  summary: "run a pipeline here, without a GitLab server",
  operands: [{ name: "FILE", optional: true, completes: "file" }],
  description: [
    "Runs the jobs of a GitLab pipeline (default: `.gitlab-ci.yml`) on this machine, without a GitLab server, through the same driver processes that GitLab Runner would call.",
  ],
  options: {
    configuration: {
      type: "string",
      value: "FILE",
      summary:
        "Jacamar's configuration (default: the shell executor, Podman for jobs with an image, and a data directory of its own)",
      completes: "file",
    },
    job: {
      type: "string",
      multiple: true,
      value: "NAME",
      summary: "run this job only, and before it the jobs whose artifacts it gets; may be repeated",
    },
    variable: {
      type: "string",
      multiple: true,
      value: "KEY[=VALUE]",
      summary: "a variable that outranks those of the pipeline; without a value, the environment's",
    },
    "masked-variable": {
      type: "string",
      multiple: true,
      value: "KEY[=VALUE]",
      summary: "the same, and the log shows [MASKED] in place of its value",
    },
    "file-variable": {
      type: "string",
      multiple: true,
      value: "KEY=PATH",
      summary: "a variable of type file, with the content of PATH",
    },
    concurrent: { type: "string", value: "N", summary: "run up to N jobs at a time (default 1)" },
    "graceful-timeout": {
      type: "string",
      value: "SECONDS",
      summary: "how long a job that is stopped has before it is killed (default 30)",
    },
    driver: {
      type: "string",
      value: "PROGRAM",
      summary: "another driver than this program, such as jacamar-auth",
      completes: "program",
    },
    "driver-argument": {
      type: "string",
      multiple: true,
      value: "ARGUMENT",
      summary: "an argument for it, before those of a stage; may be repeated",
    },
    "token-server": {
      type: "string",
      value: "PORT",
      summary:
        'the port on 127.0.0.1 where id_tokens are signed (default: any free one). The driver\'s configuration names it: gitlab_server = "http://127.0.0.1:PORT"',
    },
    login: {
      type: "string",
      value: "NAME",
      summary: "who starts the pipeline, for id_tokens and variables (default: your account's name)",
      completes: "account",
    },
    help: helpOption,
  },
  notes: [
    "jacamar-auth keeps a server's keys and asks for new ones once a minute, but each run signs with a key of its own: a second run within a minute takes another port.",
    "Ctrl-C cancels as GitLab does: the script is stopped, after_script and the uploads still run. A second Ctrl-C goes straight to the clean-up.",
  ],
  exitCodes: {
    0: "the pipeline passed",
    1: "a job failed",
    2: "something else than a job failed (the system, the driver)",
    130: "canceled",
  },
  examples: [
    { does: "run one job and what it needs", call: "jacamar try --job test" },
    {
      does: "as root, try a configuration of jacamar-auth",
      call: "jacamar try --driver /opt/jacamar/bin/jacamar-auth --token-server 8765 --login alice --configuration jacamar-auth.toml",
    },
  ],
} as const satisfies CommandDescription;
