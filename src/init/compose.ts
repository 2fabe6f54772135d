import type { Answers } from "./answers.ts";

/** The text of a first jacamar.toml. It is short: what is not in it is as docs/configuration.md says. */
export function composeConfiguration(answers: Answers, file: string, schemaFile: string | undefined): string {
  const sections = [
    [
      ...(schemaFile === undefined ? [] : [`#:schema ${schemaFile}`]),
      `# Written by jacamar init. man jacamar.toml has every key; after a change: jacamar check ${oneLine(file)}`,
    ],
    general(answers),
    ...(answers.podman ? [podman(answers)] : []),
    ...(answers.executor === "shell" ? [] : [batch()]),
    ...(answers.downscope === "no-auth" ? [] : [auth(answers)]),
  ];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** A path in a comment, which a line break would end. */
function oneLine(path: string): string {
  return JSON.stringify(path).slice(1, -1);
}

function general(answers: Answers): string[] {
  const { executor, dataDir, gitlabServer, tlsCaFile, tokenVariable, podman: usesPodman, downscope } = answers;
  return [
    "[general]",
    ...(executor === "shell"
      ? ["# Jobs run on this machine."]
      : ["# The users' scripts run as jobs of the scheduler; Git, artifacts and caches on this machine."]),
    `executor = ${toml(executor)}`,
    executor === "shell"
      ? "# The root of all files of a job."
      : "# The root of all files of a job. The compute nodes must see it under the same path.",
    `data_dir = ${toml(dataDir)}`,
    ...(usesPodman
      ? ["# Jobs that name an image run in a rootless container of the user.", 'run_mechanism = "podman"']
      : []),
    ...(downscope === "no-auth"
      ? []
      : [
          "# Whose ID tokens count, as in GitLab's external_url.",
          `gitlab_server = ${toml(gitlabServer)}`,
          "# The CI variable with the token. Jobs have it from id_tokens in .gitlab-ci.yml.",
          `jwt_env_variable = ${toml(tokenVariable)}`,
        ]),
    ...(tlsCaFile === "" ? [] : [`tls-ca-file = ${toml(tlsCaFile)}`]),
  ];
}

function podman({ runnerImage }: Answers): string[] {
  return [
    "[general.podman]",
    ...(runnerImage === ""
      ? [
          "# Git, artifacts and caches run on the host. To run them in an image of yours:",
          '# runner_image = "registry.example.com/ci/runner:1.0"',
        ]
      : ["# Git, artifacts and caches run in this image.", `runner_image = ${toml(runnerImage)}`]),
    "# Users may mount directories of theirs, as in PODMAN_VOLUMES_0: /scratch/data:/data",
    'user_volume_variable = "PODMAN_VOLUMES"',
    "# To allow only some images:",
    "# image_allowlist = ['^registry\\.example\\.com/group/.*$']",
  ];
}

function batch(): string[] {
  return [
    "[batch]",
    "# The CI variables with which users choose partition, time and size.",
    'arguments_variable = ["SCHEDULER_PARAMETERS"]',
  ];
}

function auth({ downscope, gitlabServer }: Answers): string[] {
  const ways = {
    setuid: "# The process that the runner starts becomes the job's user for good (docs/administration.md).",
    sudo: "# sudo opens the door to the job's user; it needs a line in sudoers (docs/administration.md).",
    none: "# Jobs are authorised, and all run as the account of the runner.",
    "no-auth": "",
  };
  return [
    "[auth]",
    ways[downscope],
    `downscope = ${toml(downscope)}`,
    "# Only tokens that were made for this runner count: aud of id_tokens.",
    `jwt_required_aud = ${toml(gitlabServer)}`,
    "# Who may run jobs; without lists everybody who has an account here.",
    '# groups_allowlist = ["ci-users"]',
  ];
}

/** A basic string of TOML; JSON's escapes are TOML's. */
function toml(text: string): string {
  return JSON.stringify(text);
}
