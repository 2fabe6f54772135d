/** How a stage's script ended, as far as anybody knows. */
export type Outcome =
  | { readonly kind: "passed" }
  /**
   * The script ended with this exit code, 128 and the signal's number where a signal ended it. `signal`: it is the only trace: what was to
   * leave a status is gone with the script.
   */
  | { readonly kind: "failed"; readonly exitCode: number; readonly signal?: number }
  /** The runner ended the stage. */
  | { readonly kind: "stopped" }
  /** The script ended, but its exit status could not be written; what is known does not tell that it failed. */
  | { readonly kind: "unwritten" }
  /** What was to run the script ended without its exit status. */
  | { readonly kind: "lost"; readonly exitCode: number };

/** What is known when the program that was to run the script has ended. */
export interface Evidence {
  /** The status that the shell around the script left; `unwritten` when it came to that, but the disk was full. */
  readonly status: number | "unwritten" | undefined;
  /** Exit code of that program (Bash or the Podman client) as a shell shows it. */
  readonly exitCode: number;
  readonly stopped: boolean;
}

const highestSignal = 64;

/** Decides how the script ended: only its own status tells that it passed (facts/podman.md, Exit codes). */
export function judge(evidence: Evidence): Outcome {
  if (evidence.stopped) return { kind: "stopped" };
  if (evidence.status === 0) return { kind: "passed" };
  if (evidence.status === "unwritten") {
    return evidence.exitCode === 0 ? { kind: "unwritten" } : { kind: "failed", exitCode: evidence.exitCode };
  }
  if (evidence.status !== undefined) return { kind: "failed", exitCode: evidence.status };
  // A signal ended it before its shell could leave a status; an entrypoint's own 255 says nothing of the script.
  if (evidence.exitCode > 128 && evidence.exitCode <= 128 + highestSignal)
    return { kind: "failed", exitCode: evidence.exitCode, signal: evidence.exitCode - 128 };
  return { kind: "lost", exitCode: evidence.exitCode };
}
