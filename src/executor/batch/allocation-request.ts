import { createHash } from "node:crypto";
import { JacamarError } from "../../error/error.ts";
import { printableLine } from "../../log/job-log.ts";
import type { Wish } from "../../gitlab/variables.ts";

/** What a CI job wants to do with an allocation that it shares with others (facts/jacamar.md, Executors). */
export interface AllocationRequest {
  readonly action: "allocate" | "reattach" | "cancel";
  /** As the user knows it, on one line. */
  readonly key: string;
  /** The scheduler's name for the allocation: of this project alone. That it is the user's own, the scheduler sees to. */
  readonly name: string;
}

/**
 * Reads `JACAMAR_SCHEDULER_ACTION` and `JACAMAR_SCHEDULER_JOB_KEY`; undefined for an ordinary job. Without a key it is the
 * pipeline's: `CI_PIPELINE_ID` says which it is where the runner does not (before 19.0). It may be of the user's choosing, as the key is.
 * Throws `batch_arguments_invalid` for an action that there is not.
 */
export function allocationRequest(
  action: Wish | undefined,
  key: Wish | undefined,
  job: { readonly projectId: number; readonly pipelineId: number },
  pipeline: Wish | undefined,
): AllocationRequest | undefined {
  const word = action?.text.trim() ?? "";
  if (word === "") return undefined;
  if (word !== "allocate" && word !== "reattach" && word !== "cancel") {
    throw new JacamarError(
      "batch_arguments_invalid",
      `The variable JACAMAR_SCHEDULER_ACTION holds ${JSON.stringify(word.slice(0, 100))}, which is no action`,
      { hint: "The actions are allocate, reattach and cancel." },
    );
  }
  const given = key?.text.trim() ?? "";
  const text =
    given === "" ? `ci-build-${job.pipelineId === 0 ? (pipeline?.text.trim() ?? "") : job.pipelineId}` : given;
  return { action: word, key: printableLine(text), name: `jacamar-ci-shared-${job.projectId}-${plain(text)}` };
}

/** A key is the user's text. What is no plain name stands for itself by its digest. */
function plain(key: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(key)) return key;
  return `key-${createHash("sha256").update(key).digest("hex").slice(0, 16)}`;
}
