import { type CommandDescription, helpOption } from "./description.ts";

export const reportCommand = {
  name: "report",
  audience: "administrators",
  summary: "make a page of the record of jobs",
  operands: [{ name: "FILE", multiple: true, completes: "file" }],
  description: [
    "Makes one HTML page of the record of jobs, which opens without a network: how many jobs ran and how they ended, queue time and overhead, what took long, images, failures, projects, users, and the timeline of single jobs.",
    "FILE is a file of the record (`[record]` in the configuration), its older ones too, also compressed with gzip; the output of `journalctl --identifier jacamar --output cat` (or `json`); a file of the system log; or `-` for standard input. docs/report.md tells more.",
  ],
  options: {
    output: {
      type: "string",
      short: "o",
      value: "FILE",
      summary: "the page (default: report.html); - for standard output",
      completes: "file",
    },
    since: {
      type: "string",
      value: "WHEN",
      summary: "only jobs that began since then: a length of time back from now (12h, 30d) or a date (2026-11-24)",
    },
    job: {
      type: "string",
      multiple: true,
      value: "NUMBER",
      summary:
        "a job whose timeline the page must have; may be repeated. Without it the page has those of the newest, the longest and the failed ones",
    },
    own: {
      type: "boolean",
      summary: "the files are the users' own: a line counts only where its account owns the file",
    },
    title: { type: "string", value: "TEXT", summary: "the title of the page" },
    help: helpOption,
  },
  exitCodes: {
    0: "the page was made",
    2: "a file cannot be read or written, there is no job in the files, or the call is wrong",
  },
  examples: [
    {
      does: "the last month",
      call: "jacamar report --since 30d --output ci.html /var/log/jacamar/jobs.jsonl*",
    },
    { does: "what the journal has", call: "journalctl --identifier jacamar --output cat | jacamar report -" },
  ],
} as const satisfies CommandDescription;
