import { closeSync, constants, openSync, writeSync } from "node:fs";
import { startTimeOf } from "../process/job-processes.ts";
import { systemErrorCode } from "../error/error.ts";
import { directoryFailed } from "../workspace/directories.ts";
import type { Workspace } from "../workspace/layout.ts";
import { readSmallFile } from "../workspace/small-file.ts";

/** A script on the host can put a link or a pipe in its place: neither is followed or waited for. */
const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;

/** A job has a few dozen sessions. */
const limitBytes = 1024 * 1024;

/**
 * Notes the session of what a stage has started. Should its first process end and leave others behind, they carry no
 * other mark that the job itself could not take off. Throws `directory_failed` or `disk_full`.
 */
export function noteSession(workspace: Workspace, pid: number): void {
  const file = sessionsFile(workspace);
  try {
    const descriptor = openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      writeSync(descriptor, `${pid} ${startTimeOf(pid) ?? "gone"}\n`);
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    throw directoryFailed(file, systemErrorCode(cause), cause);
  }
}

/** The sessions of the job's stages that have not been given to another program since. */
export function notedSessions(workspace: Workspace): number[] {
  const text = readSmallFile(sessionsFile(workspace), limitBytes) ?? "";
  return text.split("\n").flatMap((line) => {
    const [, pid, startTime] = /^([1-9][0-9]*) (\S+)$/.exec(line) ?? [];
    if (pid === undefined) return [];
    // The system does not give a number again while a session of that number is left. A leader of another time is of another one.
    const now = startTimeOf(Number(pid));
    return now === undefined || now === startTime ? [Number(pid)] : [];
  });
}

function sessionsFile(workspace: Workspace): string {
  return `${workspace.privateDir}/sessions`;
}
