import { type CommandDescription, helpOption } from "./description.ts";

export const checkCommand = {
  name: "check",
  audience: "administrators",
  summary: "find what is wrong with a configuration",
  operands: [{ name: "FILE", optional: true, completes: "file" }],
  description: [
    "Finds every problem of a configuration at once, with its place, and what is allowed and probably not meant. FILE is `/etc/gitlab-runner/jacamar.toml` when none is given; `-` is standard input.",
    "Each rule is described in docs/check.md.",
  ],
  options: {
    "runner-config": {
      type: "string",
      value: "FILE",
      summary: "also compare with the config.toml of GitLab Runner",
      completes: "file",
    },
    elsewhere: {
      type: "boolean",
      summary: "the file is for another machine or place: do not look for its programs and accounts here",
    },
    strict: { type: "boolean", summary: "warnings count as problems" },
    json: { type: "boolean", summary: "one JSON object on standard output" },
    help: helpOption,
  },
  exitCodes: {
    0: "no problem",
    1: "a problem (with `--strict` also a warning)",
    2: "the file cannot be read or the call is wrong",
  },
  examples: [
    {
      does: "check the configuration and the runner's",
      call: "jacamar check --runner-config /etc/gitlab-runner/config.toml",
    },
    { does: "check a file of another machine in a pipeline", call: "jacamar check --elsewhere --strict jacamar.toml" },
  ],
} as const satisfies CommandDescription;
