import type { Readable } from "node:stream";
import { accountNumbered } from "../account/lookup.ts";
import { JacamarError } from "../error/error.ts";
import { reportCommand } from "../terminal/commands/report.ts";
import { helpText } from "../terminal/help.ts";
import type { Tool } from "../terminal/terminal.ts";
import { version } from "../version.ts";
import { parseReportArguments, type ReportArguments } from "./arguments.ts";
import { Collector } from "./collect.ts";
import { htmlPage } from "./html.ts";
import { pageAssets } from "./page-assets.ts";
import { readSource, type Source } from "./sources.ts";
import { pageData } from "./table.ts";
import { writePage } from "./write-page.ts";

/** `jacamar report`: makes a page of the record of jobs. Throws `usage` or `report_failed`. */
export const makeReport: Tool = async (argv, { stdin, stdout, stderr }) => {
  const now = new Date();
  const wanted = parseReportArguments(argv, now);
  if (wanted.help) {
    stdout.write(helpText(reportCommand));
    return 0;
  }
  const owners = wanted.own ? new Owners() : undefined;
  // With --own the first reading tells whose files there are, so that the name service is asked of each once.
  if (owners) {
    const first = await readAll(wanted, stdin, (account, owner) => owners.owns(account, owner));
    first.close();
    await owners.look();
  }
  const { collector, close } = await readAll(
    wanted,
    stdin,
    owners && ((account, owner) => owners.owns(account, owner)),
  );
  const collected = collector.collected();
  if (collected.rows.count === 0) {
    throw new JacamarError("report_failed", "There is no job in these files", {
      hint: `Lines that are none of the record: ${collected.foreignLines}. [record] in the configuration turns it on.`,
    });
  }
  const data = pageData(collected, { title: wanted.title, made: now, program: version, jobs: wanted.jobs });
  close();
  const absent = wanted.jobs.filter((number) => !data.details.some(({ job }) => job === number));
  if (absent.length > 0) stderr.write(`WARNING: The files have no job ${absent.join(", ")}\n`);
  const page = htmlPage(data, pageAssets());
  if (wanted.output === "-") {
    await new Promise<void>((resolve) => stdout.write(page, () => resolve()));
    return 0;
  }
  writePage(wanted.output, page);
  const skipped = [
    ...(collected.foreignLines > 0 ? [`lines that are none of the record: ${collected.foreignLines}`] : []),
    ...(collected.forgedLines > 0 ? [`lines of another account than their file: ${collected.forgedLines}`] : []),
  ];
  const megabytes = (Buffer.byteLength(page) / 1e6).toFixed(1);
  stderr.write(
    `${wanted.output}: ${collected.rows.count} ${collected.rows.count === 1 ? "job" : "jobs"}, ${megabytes} MB${skipped.map((text) => `; ${text}`).join("")}\n`,
  );
  return 0;
};

async function readAll(
  { files, since, own }: ReportArguments,
  stdin: Readable,
  mayTell: ((account: string, owner: number) => boolean) | undefined,
): Promise<{ collector: Collector; close: () => void }> {
  const collector = new Collector(since, mayTell);
  const sources: Source[] = [];
  for (const file of files) {
    sources.push(await readSource(file, stdin, (source) => collector.takeFrom(source), own ? "refuse" : "follow"));
  }
  return {
    collector,
    close: () => {
      for (const source of sources) source.close();
    },
  };
}

/**
 * Which account owns which files. The first reading tells which owners there are, the second asks. Of what stands in the files nobody is
 * asked: one user could name a million accounts.
 */
class Owners {
  readonly #names = new Map<number, string | undefined>();

  owns(account: string, owner: number): boolean {
    const name = this.#names.get(owner);
    if (name === undefined) this.#names.set(owner, undefined);
    return name === account;
  }

  async look(): Promise<void> {
    for (const owner of this.#names.keys()) {
      const account = await accountNumbered(owner);
      this.#names.set(owner, account?.name);
    }
  }
}
