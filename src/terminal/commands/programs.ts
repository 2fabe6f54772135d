import { helpOption, type Example, type Options } from "./description.ts";

/** A program, and how GitLab Runner calls it. */
export interface ProgramDescription {
  readonly name: string;
  /** A phrase without a full stop. */
  readonly summary: string;
  /** Paragraphs. */
  readonly description: readonly string[];
  /** Calls for each stage of a job, without the name of the program. */
  readonly calls: readonly Example[];
  readonly options: Options;
}

const calls = [
  {
    call: "config --configuration FILE",
    does: "begin a job: read the configuration, decide whose the job is and where its files are",
  },
  { call: "prepare", does: "make the job's directories, and have its image" },
  { call: "run SCRIPT STAGE", does: "run a script of the job" },
  { call: "cleanup [--configuration FILE]", does: "end what is left of the job, and remove its files" },
] as const satisfies readonly Example[];

const common = {
  configuration: {
    type: "string",
    value: "FILE",
    summary: "the configuration, for config and cleanup",
    completes: "file",
  },
  version: { type: "boolean", summary: "show the version" },
  help: helpOption,
} as const satisfies Options;

export const jacamarProgram = {
  name: "jacamar",
  summary: "a custom executor for GitLab Runner",
  description: [
    "Runs the jobs of GitLab CI on high-performance computers: on the host in a clean login Bash or in a rootless Podman container, at once or as a job of a scheduler.",
    "GitLab Runner calls it for each stage of a job, as the account whose jobs it runs. To run each job as the user who started it, GitLab Runner calls `jacamar-auth` in its place.",
  ],
  calls,
  options: {
    "no-auth": { type: "boolean", summary: "run jobs as the account that calls, with no authorisation" },
    handover: { type: "boolean", summary: "take a stage from jacamar-auth, on standard input" },
    ...common,
  },
} as const satisfies ProgramDescription;

export const jacamarAuthProgram = {
  name: "jacamar-auth",
  summary: "decides whose a CI job is, and runs it as that user",
  description: [
    "Verifies the ID token of the job, decides by the configuration whose account the job runs as, becomes that user for good, and then does what `jacamar` does.",
    "It runs as root, as a service account with file capabilities, or as one that sudo lets become other users.",
  ],
  calls,
  options: {
    unobfuscated: { type: "boolean", short: "u", summary: "show the user in full why a job is refused" },
    handover: { type: "boolean", summary: "take a stage from the same program, on standard input" },
    ...common,
  },
} as const satisfies ProgramDescription;
