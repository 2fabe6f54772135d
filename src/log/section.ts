import { type JobLog, printable } from "./job-log.ts";

/** A part of the job log that GitLab folds up. */
export interface Section {
  /** Ends it; once. */
  end(): void;
}

/**
 * Begins a part of the job log that GitLab shows folded up, below its title; where GitLab has no such parts, only the title is
 * said. The two lines are those that GitLab's documentation gives ("Custom collapsible sections").
 *
 * @param supported `features.trace_sections` of the job response.
 * @param name letters, digits and `_`; once in a job.
 */
export function beginSection(log: JobLog, supported: boolean, name: string, title: string): Section {
  if (!supported) {
    log.say(title);
    return { end: () => undefined };
  }
  // GitLab Runner's own sections are bold cyan.
  log.mark(`section_start:${now()}:${name}[collapsed=true]\r\x1b[0K\x1b[36;1m${printable(title)}\x1b[0;m`);
  return { end: () => log.mark(`section_end:${now()}:${name}\r\x1b[0K`) };
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
