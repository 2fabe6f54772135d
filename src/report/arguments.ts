import { parseArgs } from "node:util";
import { JacamarError } from "../error/error.ts";

/** What the command line asks for. */
export interface ReportArguments {
  readonly help: boolean;
  /** Files of the record; `-` is standard input. */
  readonly files: readonly string[];
  readonly output: string;
  readonly title: string;
  /** Jobs that began before are left out. */
  readonly since: Date | undefined;
  /** Numbers of jobs whose timelines the page must have. */
  readonly jobs: readonly string[];
  /** A line counts only in a file that belongs to the account that it is about. */
  readonly own: boolean;
}

export const helpText = `Usage: jacamar report [options] FILE...

Makes one HTML page of the record of jobs, which opens without a network: how many jobs ran and how they ended, queue
time and overhead, what took long, images, failures, projects, users, and the timeline of single jobs.

FILE is a file of the record ([record] in jacamar.toml), its older ones too, also compressed with gzip; the output of
journalctl --identifier jacamar --output cat (or json); a file of the system log; or - for standard input.

  --output FILE   the page (default report.html); - for standard output
  --since WHEN    only jobs that began since then: a length of time back from now (12h, 30d) or a date (2026-11-24)
  --job NUMBER    a job whose timeline the page must have; may be repeated. Without it the page has those of the newest,
                  the longest and the failed ones
  --own           the files are the users' own: a line counts only where its account owns the file
  --title TEXT    the title of the page
  --help          this text

Example: jacamar report --since 30d --output /var/www/html/ci.html /var/log/jacamar/jobs.jsonl*
`;

const hint = { hint: "See: jacamar report --help" };

/** Reads the command line. Throws `usage` on anything that it does not know. */
export function parseReportArguments(argv: readonly string[], now: Date): ReportArguments {
  const { values, positionals } = parse(argv);
  const help = values.help === true;
  if (!help && positionals.length === 0)
    throw new JacamarError("usage", "jacamar report needs a file of the record", hint);
  for (const number of values.job ?? []) {
    if (!/^[1-9][0-9]{0,18}$/.test(number))
      throw new JacamarError("usage", `--job "${number}" is not a job's number`, hint);
  }
  return {
    help,
    files: positionals,
    output: values.output ?? "report.html",
    title: values.title ?? "CI jobs",
    since: values.since === undefined ? undefined : toDate(values.since, now),
    jobs: values.job ?? [],
    own: values.own === true,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        output: { type: "string", short: "o" },
        since: { type: "string" },
        job: { type: "string", multiple: true },
        own: { type: "boolean" },
        title: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new JacamarError("usage", error instanceof Error ? error.message : String(error), hint);
  }
}

const units: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400, w: 604_800 };

function toDate(text: string, now: Date): Date {
  const [, number, unit] = /^([0-9]{1,6})([mhdw])$/.exec(text) ?? [];
  const seconds = units[unit ?? ""];
  if (number !== undefined && seconds !== undefined) return new Date(now.getTime() - Number(number) * seconds * 1000);
  // Without a time zone a date is UTC, like the times of the record.
  const isDate = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?$/.test(text);
  const date = new Date(/T.*[0-9]$/.test(text) && !/[+-]\d\d:\d\d$/.test(text) ? `${text}Z` : text);
  if (isDate && !Number.isNaN(date.getTime())) return date;
  throw new JacamarError("usage", `--since "${text}" is neither a length of time, such as 30d, nor a date`, hint);
}
