import { appendFileSync, readFileSync } from "node:fs";
import { startTimeOf } from "../process/job-processes.ts";
import type { Workspace } from "../workspace/layout.ts";

/**
 * Notes the session of what a stage has started. Should its first process end and leave others behind, they carry no
 * other mark that the job itself could not take off.
 */
export function noteSession(workspace: Workspace, pid: number): void {
  appendFileSync(sessionsFile(workspace), `${pid} ${startTimeOf(pid) ?? "gone"}\n`, { mode: 0o600 });
}

/** The sessions of the job's stages that have not been given to another program since. */
export function notedSessions(workspace: Workspace): number[] {
  let text: string;
  try {
    text = readFileSync(sessionsFile(workspace), "utf8");
  } catch {
    return [];
  }
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
