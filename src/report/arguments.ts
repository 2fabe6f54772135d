import { parseArguments, usage } from "../terminal/arguments.ts";
import { reportCommand } from "../terminal/commands/report.ts";

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

/** Reads the command line. Throws `usage` on anything that it does not know. */
export function parseReportArguments(argv: readonly string[], now: Date): ReportArguments {
  const { values, positionals } = parseArguments(reportCommand, argv);
  const help = values.help === true;
  if (!help && positionals.length === 0) throw usage(reportCommand, "jacamar report needs a file of the record");
  for (const number of values.job ?? []) {
    if (!/^[1-9][0-9]{0,18}$/.test(number)) throw usage(reportCommand, `--job "${number}" is not a job's number`);
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

const units: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400, w: 604_800 };

function toDate(text: string, now: Date): Date {
  const [, number, unit] = /^([0-9]{1,6})([mhdw])$/.exec(text) ?? [];
  const seconds = units[unit ?? ""];
  if (number !== undefined && seconds !== undefined) return new Date(now.getTime() - Number(number) * seconds * 1000);
  // Without a time zone a date is UTC, like the times of the record.
  const isDate = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?$/.test(text);
  const date = new Date(/T.*[0-9]$/.test(text) && !/[+-]\d\d:\d\d$/.test(text) ? `${text}Z` : text);
  if (isDate && !Number.isNaN(date.getTime())) return date;
  throw usage(reportCommand, `--since "${text}" is neither a length of time, such as 30d, nor a date`);
}
