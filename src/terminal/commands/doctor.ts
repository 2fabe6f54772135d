import { type CommandDescription, helpOption } from "./description.ts";

/** The names of the checks. A test compares them with the checks themselves, which this folder may not know. */
const checks = [
  "login",
  "programs",
  "data-directory",
  "free-space",
  "limits",
  "user-namespaces",
  "subordinate-ids",
  "id-mapping",
  "runtime-directory",
  "pause-process",
  "podman",
  "cgroups",
  "storage-driver",
  "storage-place",
  "container",
  "container-network",
  "devices",
  "selinux",
  "scheduler",
  "system-calls",
  "system-log",
  "gitlab",
  "registries",
] as const;

export const doctorCommand = {
  name: "doctor",
  audience: "administrators",
  summary: "look at this machine as a job would meet it",
  operands: [],
  description: [
    "Looks at this machine as a job would meet it, and says what is wrong and what to do about it. Nothing is changed.",
  ],
  options: {
    user: {
      type: "string",
      value: "NAME",
      summary: "as root: become that user first, as for a job, and look at what is the user's, too",
      completes: "account",
    },
    configuration: {
      type: "string",
      value: "FILE",
      summary: "the configuration of the jobs (default: /etc/gitlab-runner/jacamar.toml, where it is there)",
      completes: "file",
    },
    "no-network": { type: "boolean", summary: "ask neither GitLab nor registries" },
    check: {
      type: "string",
      multiple: true,
      value: "NAME",
      summary: "make this check alone; may be repeated",
      completes: { words: checks },
    },
    json: { type: "boolean", summary: "one JSON object on standard output" },
    help: helpOption,
  },
  notes: [
    "Root runs no jobs, so without `--user` root looks at the machine alone. Anybody else looks at their own account.",
    `Checks: ${checks.join(", ")}.`,
    "docs/doctor.md describes each one and all that it can find.",
  ],
  exitCodes: {
    0: "nothing is wrong (there may be warnings)",
    1: "something is wrong",
    2: "it could not be looked",
  },
  examples: [
    { does: "look at the machine for jobs of a user", call: "jacamar doctor --user alice" },
    { does: "look at one thing only", call: "jacamar doctor --check subordinate-ids" },
  ],
} as const satisfies CommandDescription;
