import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { JacamarError } from "../error/error.ts";
import { parseReportArguments } from "./arguments.ts";
import { type Collected, Collector } from "./collect.ts";
import { htmlPage } from "./html.ts";
import { outcomes, packSeconds, unpackSeconds } from "./page-data.ts";
import { readSource, type Source } from "./sources.ts";
import { pageData } from "./table.ts";

const root = mkdtempSync(join(tmpdir(), "jacamar-report-"));
after(() => rmSync(root, { recursive: true, force: true }));

const key = (number: number) => `${number}-${number.toString(16).padStart(12, "0")}`;

function stage(number: number, name: string, more: Readonly<Record<string, unknown>> = {}): string {
  const second = String(10 + number).padStart(2, "0");
  const line = {
    schema: 1,
    kind: "stage",
    key: key(number),
    time: `2026-11-24T03:00:${second}.000Z`,
    stage: name,
    seconds: 1,
  };
  return JSON.stringify({
    ...line,
    outcome: "passed",
    steps: [{ name: "script", at: 0, seconds: 0.5 }],
    job: number,
    account: "alice",
    ...more,
  });
}

function job(number: number, more: Readonly<Record<string, unknown>> = {}): string {
  const second = String(10 + number).padStart(2, "0");
  const line = {
    schema: 1,
    kind: "job",
    key: key(number),
    time: `2026-11-24T03:00:${second}.000Z`,
    seconds: 20,
    outcome: "passed",
  };
  const sums = { script_seconds: 5, overhead_seconds: 2, step_seconds: { pull: 1.5 }, job: number, account: "alice" };
  const stages = [
    { stage: "prepare", at: 0, seconds: 2, outcome: "passed", steps: [{ name: "pull", at: 0.1, seconds: 1.5 }] },
  ];
  return JSON.stringify({ ...line, ...sums, ...more, stages });
}

async function collect(
  text: string,
  options: { since?: Date; mayTell?: (account: string, owner: number) => boolean } = {},
): Promise<Collected> {
  const collector = new Collector(options.since, options.mayTell);
  await readSource("-", Readable.from([Buffer.from(text)]), (source) => collector.takeFrom(source));
  return collector.collected();
}

function jobsOf(collected: Collected): unknown[] {
  return Array.from({ length: collected.rows.count }, (_, row) => collected.whole(row)?.line.job);
}

describe("Collector", () => {
  test("takes a job's own line before its stages, in whatever order they come", async () => {
    for (const lines of [
      [stage(1, "config"), stage(1, "prepare"), job(1)],
      [job(1), stage(1, "config"), stage(1, "prepare")],
    ]) {
      const collected = await collect(lines.join("\n"));
      assert.deepEqual(jobsOf(collected), [1]);
      const whole = collected.whole(0);
      assert.deepEqual([whole?.line.seconds, whole?.line.stages.length, whole?.attempts], [20, 1, 1]);
      assert.ok(Math.abs(unpackSeconds(collected.rows.get("step_pull", 0)) - 1.5) < 0.001);
    }
  });

  test("puts a job that was killed together from its stages", async () => {
    const failed = { outcome: "failed", error: "script_failed" };
    const collected = await collect(
      [stage(2, "build_script", failed), stage(2, "config", { time: "2026-11-24T03:00:00.000Z" })].join("\n"),
    );
    const whole = collected.whole(0);
    assert.deepEqual(
      [whole?.line.outcome, whole?.line.stages.map(({ stage: name }) => name)],
      ["failed", ["config", "build_script"]],
    );
    assert.equal(outcomes[collected.rows.get("outcome", 0)], "failed");
  });

  test("finds a line behind what is left of another's, whose write has failed", async () => {
    const cut = stage(7, "config").slice(0, 70);
    const collected = await collect([stage(2, "config"), cut + stage(2, "build_script"), cut + job(3)].join("\n"));
    assert.deepEqual(new Set(jobsOf(collected)), new Set([2, 3]));
    assert.equal(collected.foreignLines, 0);
  });

  test("lets nobody tell of another's job in a file of their own, by its key, without an account, or with two", async () => {
    const mine = { account: "mallory", project_full_path: "forged", time: "2026-11-24T09:00:00.000Z" };
    const two = job(3, mine).replace(/\}$/, ',"account":"alice","project_full_path":"forged"}');
    const lines = [job(1, mine), job(2, { ...mine, account: undefined }), two, stage(4, "config", mine)];
    const collector = new Collector(undefined, (account, owner) => owner === (account === "alice" ? 1 : 2));
    const read = async (owner: number, text: string) => {
      await readSource("-", Readable.from([Buffer.from(text)]), (source) =>
        collector.takeFrom({
          keep: (line) => source.keep(line),
          read: (...at) => source.read(...at),
          close: () => {},
          owner,
        }),
      );
    };
    await read(1, [job(1), job(2), job(3), stage(4, "config"), stage(4, "build_script")].join("\n"));
    await read(2, lines.join("\n"));
    const collected = collector.collected();
    assert.equal(collected.forgedLines, 1);
    const alices = Array.from({ length: collected.rows.count }, (_, row) => collected.whole(row)?.line).filter(
      (line) => line?.account === "alice",
    );
    assert.deepEqual(
      alices.map((line) => [line?.job, line?.project_full_path, line?.stages.length]),
      [
        [1, undefined, 1],
        [2, undefined, 1],
        [3, undefined, 1],
        [4, undefined, 2],
      ],
    );
  });

  test("counts the attempts at a job as one job, which ended as the last did", async () => {
    const first = job(3, { outcome: "error", error: "image_pull_failed" });
    const last = job(3, { time: "2026-11-24T03:05:00.000Z" });
    for (const lines of [
      [first, last],
      [last, first],
    ]) {
      const collected = await collect(lines.join("\n"));
      assert.equal(collected.rows.count, 1);
      assert.equal(collected.rows.get("outcome", 0), 0);
      assert.equal(collected.whole(0)?.attempts, 2);
    }
  });

  test("reads the journal's JSON and a system log's lines, and counts what is none of the record", async () => {
    const lines = [
      JSON.stringify({ MESSAGE: job(1), _UID: "1000" }),
      `Nov 24 03:49:35 login1 jacamar[77]: ${job(2)}`,
      `<86>1 2026-11-24T03:49:35Z login1 jacamar 77 - - ${stage(3, "prepare")}`,
      "root:x:0:0:root:/root:/bin/bash",
      '{"schema":1,"kind":"job","key":"4-000000000004"',
      '{"MESSAGE":"hello"}',
      "",
    ];
    const collected = await collect(lines.join("\n"));
    assert.deepEqual(jobsOf(collected), [1, 2, 3]);
    assert.equal(collected.foreignLines, 3);
  });

  test("leaves out what began before", async () => {
    const collected = await collect([job(1), job(2), job(3)].join("\n"), {
      since: new Date("2026-11-24T03:00:12.000Z"),
    });
    assert.deepEqual(jobsOf(collected), [2, 3]);
  });

  test("believes nobody's line about another account, where that is asked", async () => {
    const text = [
      job(1),
      job(2, { account: "bob" }),
      stage(3, "prepare", { account: "bob" }),
      stage(4, "prepare"),
    ].join("\n");
    const collected = await collect(text, { mayTell: (account) => account === "alice" });
    assert.deepEqual(jobsOf(collected), [1, 4]);
    assert.equal(collected.forgedLines, 2);
  });

  test("takes a project's name for no structure of the line", async () => {
    const collected = await collect(job(1, { project_full_path: ',"stages":[', image: '{"schema":1,"kind":"job"' }));
    assert.equal(collected.whole(0)?.line.stages.length, 1);
    assert.deepEqual(collected.rows.lists().projects, ["", ',"stages":[']);
  });
});

describe("readSource()", () => {
  async function linesOf(path: string): Promise<{ lines: string[]; source: Source }> {
    const lines: string[] = [];
    const kept: [number, number][] = [];
    const source = await readSource(path, Readable.from([]), (from) => (line) => {
      lines.push(line.buffer.toString("latin1", line.begin, line.end));
      kept.push([from.keep(line), line.end - line.begin]);
    });
    // Every line can be had again.
    assert.deepEqual(
      kept.map(([place, length]) => source.read(place, length)),
      lines,
    );
    return { lines, source };
  }

  const many = Array.from({ length: 30_000 }, (_, number) => `${number} ${"x".repeat(number % 500)}`);
  for (const [kind, content] of [
    ["plain", Buffer.from(many.join("\n"))],
    ["gzip", gzipSync(`${many.join("\n")}\n`)],
  ] as const) {
    test(`gives each line once, also over the ends of pieces, and each again: ${kind}`, async () => {
      const path = join(root, kind);
      writeFileSync(path, content);
      const { lines, source } = await linesOf(path);
      source.close();
      assert.deepEqual(lines, many);
    });
  }

  test("passes over a line that is far too long", async () => {
    const path = join(root, "long");
    writeFileSync(path, `first\n${"y".repeat(9_000_000)}\nlast\n`);
    const { lines, source } = await linesOf(path);
    source.close();
    assert.deepEqual(lines, ["first", "last"]);
  });

  test("waits for no pipe and reads no device, also behind a link", async () => {
    const directory = join(root, "odd");
    mkdirSync(directory);
    symlinkSync("/dev/zero", join(directory, "zero"));
    for (const path of [directory, join(directory, "zero"), join(directory, "missing")]) {
      await assert.rejects(linesOf(path), (error) => error instanceof JacamarError && error.code === "report_failed");
    }
  });

  test("follows no link where the files are users' own", async () => {
    const regular = join(root, "regular");
    writeFileSync(regular, "a line\n");
    symlinkSync(regular, join(root, "to-regular"));
    const take = () => () => undefined;
    await assert.rejects(readSource(join(root, "to-regular"), Readable.from([]), take, "refuse"), {
      code: "report_failed",
      message: /it is a link/,
    });
    (await readSource(join(root, "to-regular"), Readable.from([]), take)).close();
    (await readSource(regular, Readable.from([]), take, "refuse")).close();
  });

  test("says that a compressed file is cut off", async () => {
    const path = join(root, "cut.gz");
    writeFileSync(path, gzipSync(many.join("\n")).subarray(0, 1000));
    await assert.rejects(linesOf(path), /it is not whole/);
  });

  test("does not unpack a compressed file that fills the memory", async () => {
    const path = join(root, "bomb.gz");
    writeFileSync(path, gzipSync("the same line again\n".repeat(1_000_000)));
    await assert.rejects(linesOf(path), /it is more than 200 times as large as compressed/);
  });
});

describe("packSeconds()", () => {
  test("keeps durations to a few parts in ten thousand", () => {
    for (const seconds of [0.001, 0.2, 1, 59.9, 3600, 86_400 * 30]) {
      assert.ok(Math.abs(unpackSeconds(packSeconds(seconds)) / seconds - 1) < 0.0004, String(seconds));
    }
    assert.equal(unpackSeconds(packSeconds(0)), 0);
    assert.ok(Number.isNaN(unpackSeconds(packSeconds(undefined))));
    assert.ok(packSeconds(1e12) <= 65_535);
  });
});

describe("pageData() and htmlPage()", () => {
  const options = { title: "CI <b>", made: new Date("2026-11-25T00:00:00Z"), program: "0.1.0", jobs: [] };

  test("has the jobs in the order of time, with the details of those that are asked for", async () => {
    const lines = Array.from({ length: 1500 }, (_, number) =>
      job(number, {
        time: new Date(Date.UTC(2026, 10, 1) + ((number * 7) % 1500) * 1000).toISOString(),
        overhead_seconds: 1,
      }),
    );
    const data = pageData(await collect(lines.join("\n")), { ...options, jobs: ["0"] });
    assert.equal(data.count, 1500);
    const times = new Uint32Array(new Uint8Array(Buffer.from(data.columns.time, "base64")).buffer);
    assert.deepEqual(times, times.toSorted());
    assert.deepEqual([times[0], times.at(-1)], [0, 1499]);
    const shown = data.details.find((detail) => detail.job === "0");
    assert.deepEqual(shown?.stages, [["prepare", 0, 2, 0, "", [["pull", 0.1, 1.5]]]]);
    assert.ok(data.details.length >= 1000 && data.details.length < 1500);
  });

  test("holds texts so that none ends what holds it", async () => {
    const data = pageData(
      await collect(job(1, { project_full_path: "</script><script>alert(1)</script><!--" })),
      options,
    );
    const page = htmlPage(data, { script: "run()", style: "p{}" });
    assert.equal(page.split("</script>").length, 3);
    assert.ok(!page.includes("<!--"));
    assert.match(page, /<title>CI &lt;b><\/title>|<title>CI &lt;b&gt;<\/title>/);
    assert.match(page, /script-src 'sha256-[A-Za-z0-9+/=]{44}'/);
    assert.throws(() => htmlPage(data, { script: "'</script>'", style: "" }), /ends its own element/);
  });
});

describe("parseReportArguments()", () => {
  const now = new Date("2026-11-24T12:00:00.000Z");
  const since = (text: string) => parseReportArguments(["--since", text, "x"], now).since?.toISOString();

  test("knows lengths of time and dates", () => {
    assert.equal(since("12h"), "2026-11-24T00:00:00.000Z");
    assert.equal(since("30d"), "2026-10-25T12:00:00.000Z");
    assert.equal(since("2026-11-01"), "2026-11-01T00:00:00.000Z");
    assert.equal(since("2026-11-01T06:30"), "2026-11-01T06:30:00.000Z");
    assert.equal(since("2026-11-01T06:30:00+01:00"), "2026-11-01T05:30:00.000Z");
  });

  for (const argv of [
    [],
    ["--since", "yesterday", "x"],
    ["--job", "x", "y"],
    ["--unknown", "x"],
    ["--since", "2026-13-01", "x"],
  ]) {
    test(`refuses ${JSON.stringify(argv)}`, () => {
      assert.throws(
        () => parseReportArguments(argv, now),
        (error) => error instanceof JacamarError && error.code === "usage" && error.hint !== undefined,
      );
    });
  }

  test("needs no file for help", () => assert.equal(parseReportArguments(["--help"], now).help, true));
});
