import { type JobLog, printable } from "./job-log.ts";

/**
 * Parts of the job log that GitLab shows folded up below a title ("Custom collapsible sections" in GitLab's documentation). Only for
 * a job whose response says that GitLab has them (`features.trace_sections`).
 */
export class Fold {
  readonly #log: JobLog;
  readonly #name: string;
  readonly #title: string;
  #count = 0;
  #open = false;

  /** @param name letters, digits and `_`; its own in a job. */
  constructor(log: JobLog, name: string, title: string) {
    this.#log = log;
    this.#name = name;
    this.#title = title;
  }

  /** What is written from now on is folded up. */
  begin(): void {
    if (this.#open) return;
    this.#open = true;
    this.#count += 1;
    // Bold cyan, as GitLab Runner's own sections.
    const title = `\x1b[36;1m${printable(this.#title).replaceAll("\n", " ")}\x1b[0;m`;
    this.#log.mark(`section_start:${now()}:${this.#id}[collapsed=true]\r\x1b[0K${title}`);
  }

  /** What is written from now on is for everybody to see. */
  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#log.mark(`section_end:${now()}:${this.#id}\r\x1b[0K`);
  }

  /** GitLab knows each part by its name. */
  get #id(): string {
    return this.#count === 1 ? this.#name : `${this.#name}_${this.#count}`;
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
