import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The packages that systems install: one for root and for sudo, and one with file capabilities for a service account. */
export interface Variant {
  readonly name: "jacamar-ci" | "jacamar-ci-caps";
  readonly other: "jacamar-ci" | "jacamar-ci-caps";
  readonly hasCapabilities: boolean;
  readonly summary: string;
  readonly description: readonly string[];
}

const description = [
  "Jacamar CI runs the jobs of GitLab CI as the users who started them: on the host or in rootless Podman containers, at once or as jobs of a scheduler.",
];

export const variants: readonly Variant[] = [
  {
    name: "jacamar-ci",
    other: "jacamar-ci-caps",
    hasCapabilities: false,
    summary: "custom executor for GitLab Runner on high-performance computers",
    description: [
      ...description,
      "This package is for a runner that runs as root, with sudo, or for one account alone.",
    ],
  },
  {
    name: "jacamar-ci-caps",
    other: "jacamar-ci",
    hasCapabilities: true,
    summary: "custom executor for GitLab Runner, with file capabilities",
    description: [
      ...description,
      "This package is for a runner that runs as a service account, gitlab-runner unless JACAMAR_SERVICE_ACCOUNT names another when it is installed. Only that account can run jacamar-auth, which has the capabilities to become any user.",
    ],
  },
];

/** The script that gives the capabilities; `again` is how a failed installation is tried again. */
export function giveCapabilities(again: string): string {
  return read("give-capabilities").replaceAll("@AGAIN@", again);
}

/** The script for what the last removal takes away. */
export function forget(): string {
  return read("forget");
}

function read(name: string): string {
  return readFileSync(join(import.meta.dirname, "maintainer", name), "utf8");
}
