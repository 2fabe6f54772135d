import { JacamarError } from "../../error/error.ts";

/** When the registry is asked: always, when the image is missing here, never, or when it has a newer one (Podman). */
export type PullPolicy = "always" | "missing" | "never" | "newer";

const spelling: Readonly<Record<string, PullPolicy>> = {
  always: "always",
  missing: "missing",
  "if-not-present": "missing",
  never: "never",
  newer: "newer",
};

/** GitLab's and Podman's words for one policy; undefined for any other word. */
export function toPullPolicy(word: string): PullPolicy | undefined {
  return Object.hasOwn(spelling, word) ? spelling[word] : undefined;
}

/**
 * The policies to try in turn, as GitLab's Docker executor decides them (`docs/executors/docker.md`, pull policies):
 * the job's, as far as the administrator allows them; else the administrator's; else `always`. An administrator who
 * sets `image_pull_policy` allows just that one.
 * Throws `pull_policy_refused`, or `image_options_invalid` for a word that is no policy.
 */
export function choosePullPolicies(
  asked: readonly string[],
  configured: PullPolicy | undefined,
  image: string,
): readonly PullPolicy[] {
  if (asked.length === 0) return [configured ?? "always"];
  const policies = asked.map((word) => {
    const policy = toPullPolicy(word);
    if (policy) return policy;
    throw new JacamarError(
      "image_options_invalid",
      `The pull policy ${JSON.stringify(word.slice(0, 50))} of the image "${image}" is unknown`,
      {
        hint: "Use always, if-not-present or never.",
      },
    );
  });
  if (configured === undefined) return policies;
  if (policies.includes(configured)) return [configured];
  throw new JacamarError(
    "pull_policy_refused",
    `The job asks for the pull policy ${policies.join(", ")} for the image "${image}", but the administrator allows only ${configured}`,
    { hint: "Remove pull_policy from the job's image." },
  );
}
