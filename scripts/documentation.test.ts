import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type * as v from "valibot";
import { inspect } from "../src/config/inspect.ts";
import { keysOf } from "../src/config/kinds.ts";
import { configSchema } from "../src/config/schema.ts";
import { findOwn, userArguments } from "../src/executor/batch/own-arguments.ts";
import { schedulers } from "../src/executor/batch/schedulers.ts";
import { readPipeline } from "../src/try/pipeline.ts";
import { pages, type Sample, samplesOf } from "../test/harness/documentation.ts";
import { checkout } from "../test/harness/machine.ts";

/** What a reader may copy is tried: configurations by the schema, pipelines by the parser, arguments by their scheduler. */

const tomls = pages.flatMap((page) => samplesOf(page, "toml"));
const yamls = pages.flatMap((page) => samplesOf(page, "yaml"));
const least = '[general]\nexecutor = "shell"\ndata_dir = "/shared/ci"\n';

/** Files of other programs. */
const isForeign = ({ text }: Sample) => /^\s*\[+(?:runners|storage)\b/m.test(text);

/** A sample may be a part of a file, or even of a table. */
function wholeFiles(text: string): string[] {
  const filled = text.replaceAll('"…"', `"${"0".repeat(64)}"`);
  if (/^\[general\]/m.test(filled)) return [filled];
  if (/^\[/m.test(filled)) return [least + filled];
  return ["[general.podman]", "[auth]", "[batch]"].map((table) => `${least}${table}\n${filled}`);
}

describe("a configuration in the documentation", () => {
  for (const sample of tomls.filter((each) => !isForeign(each))) {
    test(`has no mistake: ${sample.page}:${sample.line}`, async () => {
      const inspections = await Promise.all(wholeFiles(sample.text).map(inspect));
      const faults = inspections.map((inspection) => inspection.faults);
      assert.ok(
        faults.some((list) => list.length === 0),
        JSON.stringify(faults),
      );
    });
  }

  test("is there for each scheduler, with its executor", () => {
    for (const name of Object.keys(schedulers)) {
      const text = readFileSync(checkout(`docs/schedulers/${name}.md`), "utf8");
      assert.ok(text.includes(`executor = "${name}"`), name);
    }
  });
});

describe("the page on upgrading", () => {
  test("names every key", () => {
    const page = readFileSync(checkout("docs/upgrading.md"), "utf8");
    const inTable = (schema: v.GenericSchema): string[] =>
      [...(keysOf(schema) ?? [])].flatMap(([name, entry]) => (keysOf(entry) === undefined ? [name] : inTable(entry)));
    const missing = inTable(configSchema).filter((name) => !page.includes(`\`${name}\``));
    assert.deepEqual(missing, []);
  });
});

describe("a pipeline in the documentation", () => {
  for (const sample of yamls.filter(({ text }) => /^ +script:/m.test(text))) {
    test(`is one that GitLab would take: ${sample.page}:${sample.line}`, () => {
      const given = { file: ".gitlab-ci.yml", text: sample.text, readLocal: () => "" };
      // The jobs of the first page name stages without listing them.
      const named = [...sample.text.matchAll(/^ +stage: (\S+)$/gm)].map(([, stage]) => stage);
      const stages = /^stages:/m.test(sample.text) || named.length === 0 ? "" : `stages: [${named.join(", ")}]\n`;
      const { jobs, warnings } = readPipeline({ ...given, text: stages + sample.text });
      assert.ok(jobs.length > 0);
      assert.deepEqual(warnings, []);
    });
  }
});

describe("docs/batch.md", () => {
  const jobs = samplesOf("docs/batch.md", "yaml").flatMap(({ heading, text, line }) =>
    readPipeline({ file: "batch.md", text, readLocal: () => "" }).jobs.map((job) => ({ heading, line, job })),
  );

  test("has a job for each scheduler", () => {
    const headings = jobs.map(({ heading }) => heading.toLowerCase());
    for (const name of Object.keys(schedulers)) assert.ok(headings.includes(name), name);
  });

  for (const { heading, line, job } of jobs) {
    test(`gives ${job.name} at line ${line} no argument that is refused`, () => {
      const scheduler = schedulers[executorOf(heading)];
      assert.ok(scheduler);
      const wishes = job.variables.flatMap(({ key, value }) =>
        key === "SCHEDULER_PARAMETERS" ? [{ name: key, text: value }] : [],
      );
      assert.doesNotThrow(() => userArguments(wishes, scheduler.ownArguments));
    });
  }

  const rows = readFileSync(checkout("docs/batch.md"), "utf8").matchAll(
    /^\| (Slurm|Flux|PBS|LSF) \| [^|]+ \| ([^|]+) \|$/gm,
  );
  for (const [, title = "", cell = ""] of rows) {
    test(`names only arguments as refused that ${title} refuses`, () => {
      const words = [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);
      assert.ok(words.length > 3);
      const own = schedulers[executorOf(title)]?.ownArguments;
      assert.ok(own);
      for (const word of words) assert.ok(findOwn([word, "x"], own)?.word === word, word);
    });
  }

  /** An example that stands under no scheduler's name is for Slurm. */
  function executorOf(heading: string): keyof typeof schedulers {
    const name = heading.toLowerCase();
    return name === "flux" || name === "pbs" || name === "lsf" ? name : "slurm";
  }
});
