import { type CommandDescription, helpOption } from "./description.ts";

export const initCommand = {
  name: "init",
  audience: "administrators",
  summary: "write a first configuration for this machine",
  operands: [{ name: "FILE", optional: true, completes: "file" }],
  description: [
    "Looks at this machine, asks for what it cannot see, writes a short jacamar.toml, and prints the `[runners.custom]` block for the config.toml of GitLab Runner. An existing file is never overwritten.",
    "FILE is `/etc/gitlab-runner/jacamar.toml` for root, and `~/.gitlab-runner/jacamar.toml` for anybody else.",
  ],
  options: {
    executor: {
      type: "string",
      value: "NAME",
      summary: "shell, slurm, flux, pbs or lsf (default: the scheduler that is found, else shell)",
      completes: { words: ["shell", "slurm", "flux", "pbs", "lsf"] },
    },
    "data-dir": {
      type: "string",
      value: "DIR",
      summary: "where all files of jobs go (default: $HOME/.jacamar-ci, in the home of the job's user)",
      completes: "directory",
    },
    podman: {
      type: "boolean",
      negative: true,
      summary: "jobs that name an image run in rootless Podman, or not (default: if Podman is found)",
    },
    "runner-image": {
      type: "string",
      value: "IMAGE",
      summary: "the image for Git, artifacts and caches (default: they run on the host)",
    },
    downscope: {
      type: "string",
      value: "WAY",
      summary:
        "setuid or sudo: each job runs as the user who started it; none: as this account, and is authorised; no-auth: as this account (default: setuid for root, no-auth for anybody else)",
      completes: { words: ["setuid", "sudo", "none", "no-auth"] },
    },
    "gitlab-server": {
      type: "string",
      value: "URL",
      summary: "the GitLab server whose tokens count (default: the url of the runner's own config.toml)",
    },
    "tls-ca-file": {
      type: "string",
      value: "FILE",
      summary: "certificates that HTTPS trusts (default: as in the runner's own config.toml)",
      completes: "file",
    },
    "token-variable": {
      type: "string",
      value: "NAME",
      summary: "the CI variable with the ID token (default: SITE_ID_TOKEN)",
    },
    yes: { type: "boolean", short: "y", summary: "ask nothing" },
    help: helpOption,
  },
  exitCodes: { 0: "written", 2: "not written" },
  notes: [
    "Nothing is asked when standard input is no terminal. The block goes to standard output, all else to standard error.",
  ],
  examples: [
    { does: "a configuration for jobs on Slurm, with containers", call: "jacamar init --executor slurm --podman" },
  ],
} as const satisfies CommandDescription;
