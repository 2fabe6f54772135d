import { closeSync, constants, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { directoryFailed } from "../../workspace/directories.ts";
import { systemErrorCode } from "../../error/error.ts";
import { plainId } from "./own-id.ts";
import { callSeconds } from "./programs.ts";
import type { SchedulerId } from "./scheduler.ts";
import { shellWord } from "./shell-word.ts";

/** What the job that holds a shared allocation is made of. */
export interface HolderSpec {
  /** Says which job of the scheduler is to hold the allocation: see {@link wantHolder}. */
  readonly wanted: string;
  /** What the scheduler calls the job, in double quotes of sh (`Scheduler.ownId`). */
  readonly ownId: string;
  /** How long a shared file system may take to show a file to the node. */
  readonly patienceSeconds: number;
}

/**
 * The job that holds an allocation: steps of CI jobs run in it, and nothing else. A scheduler can take it when it has said that it does
 * not, minutes later: then another one has its place, or nobody waits, and it would cost its user an allocation to its time limit. So
 * it holds nothing unless it is the one that is wanted.
 */
export function holderFile({ wanted, ownId, patienceSeconds }: HolderSpec): string {
  const patience = Math.ceil(patienceSeconds);
  return `#!/bin/sh
# Holds an allocation that CI jobs share. It ends when a job of the pipeline cancels it, or at its time limit.
trap 'exit 0' TERM INT HUP

# The runner may not know yet which job it has got; or nobody waits for this one any more, since the scheduler took it too late.
plain() { # ID
  id=\${1#f}
  id=\${id#"$(printf '\\306\\222')"}
  echo "\${id%%[.;]*}"
}
own=$(plain "${ownId}")
waited=0
while :; do
  word='' id=''
  { read -r word id <${shellWord(wanted)}; } 2>/dev/null
  if [ "$word" = yes ] && { [ "$id" = "$own" ] || [ -z "$own" ]; }; then break; fi
  limit=${patience}
  [ "$word" != perhaps ] || limit=${patience + callSeconds + lookSeconds}
  if [ "$waited" -ge "$limit" ]; then
    echo "Nobody waits for this allocation: it is given back" >&2
    exit 1
  fi
  sleep 1
  waited=$((waited + 1))
done
while :; do sleep 60 & wait; done
`;
}

/** How long the driver may take to see a job whose submission had no answer, while the scheduler answers. */
const lookSeconds = 15;

/** What no allocation needs any more. */
const oldMilliseconds = 60 * 24 * 3600_000;

/**
 * Writes which job is to hold an allocation: none is known yet, or that one. Always into the same file, since a node of a shared file
 * system that has seen the file sees at once what is new in it.
 *
 * @param path in a directory of the user's own that is there. It belongs to no CI job: an allocation outlives the one that takes it.
 * Throws `disk_full` or `directory_failed`.
 */
export function wantHolder(path: string, id: SchedulerId | undefined): void {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    const descriptor = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      writeSync(descriptor, id === undefined ? "perhaps\n" : `yes ${plainId(id)}\n`);
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    throw directoryFailed(path, systemErrorCode(cause), cause);
  }
}

/** Nobody waits for the allocation any more: a job that the scheduler takes for it from now on does nothing. */
export function unwantHolder(path: string): void {
  rmSync(path, { force: true });
}

/** Takes away what allocations have left that ended at their time limit. */
export function forgetOldHolders(path: string): void {
  const directory = dirname(path);
  for (const name of readdirSync(directory)) {
    const file = join(directory, name);
    const modified = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - modified > oldMilliseconds) unwantHolder(file);
  }
}
