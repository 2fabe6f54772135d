import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { type AnyJob, Jobs, logOf, type Wanted } from "../stopping/jobs.ts";
import { tracesAfter } from "../stopping/traces.ts";

let jobs: Jobs;
before(() => {
  jobs = new Jobs("output");
});
after(() => jobs.close());

const places: Readonly<Record<string, Wanted>> = {
  "on the host": {},
  "in a container": { image: "localhost/jacamar-demo" },
  "in a container without a terminal": { image: "localhost/jacamar-demo", podman: "tty = false" },
};

for (const [where, wanted] of Object.entries(places)) {
  const withTerminal = where === "in a container";
  describe(`a script ${where}`, () => {
    let job: AnyJob;
    before(async () => {
      job = jobs.job(wanted);
      await job.ready();
    });

    it("may be 2 MB long", async () => {
      const comment = `: ${"x".repeat(996)}\n`;
      const run = await job.run("build_script", `echo begin\n${comment.repeat(2100)}echo end`);
      assert.equal(run.exitCode, 0, run.stderr);
      assert.equal(run.stdout, "begin\nend\n");
    });

    it("may print 50 MB, which arrive complete and in order", async () => {
      const lines = 6_500_000;
      const run = await job.run("build_script", `seq 1 ${lines}`, 150);
      assert.equal(run.exitCode, 0, run.stderr.slice(0, 500));
      const expected = createHash("sha256");
      for (let from = 1; from <= lines; from += 100_000) {
        expected.update(`${Array.from({ length: 100_000 }, (_, index) => from + index).join("\n")}\n`);
      }
      assert.equal(createHash("sha256").update(run.stdout).digest("hex"), expected.digest("hex"));
      assert.ok(run.stdout.length > 50_000_000);
      assert.equal(run.stderr, "");
    });

    const texts: Readonly<Record<string, string>> = {
      "no line break": "no line break",
      nothing: "",
      "one very long line": "y".repeat(300_000),
      "carriage returns of its own": "1%\r2%\r\n3%\r\r\n\r",
      "unicode, colours and a bell": "é ☃ \u001b[31mred\u001b[0m\u0007\n\n",
    };
    for (const [what, text] of where === "in a container without a terminal" ? [] : Object.entries(texts)) {
      it(`may print ${what}`, async () => {
        const command = text.startsWith("yyy")
          ? `printf '%0300000d' 0 | tr 0 y`
          : `printf '%b' '${[...Buffer.from(text)].map((byte) => `\\0${byte.toString(8)}`).join("")}'`;
        const run = await job.run("build_script", command);
        assert.equal(run.exitCode, 0, run.stderr);
        // The line that tells what the script took stands on a line of its own.
        const lineEnd = text === "" || text.endsWith("\n") ? "" : "\n";
        assert.ok(run.stdout === text + lineEnd, JSON.stringify(run.stdout.slice(0, 300)));
      });
    }

    for (const close of ["exec >&-", "exec >&- 2>&- <&-"]) {
      it(`may close its output: ${close}`, async () => {
        assert.equal((await job.run("build_script", `${close}; true`)).exitCode, 0);
        const failing = await job.run("build_script", `${close}; exit 3`);
        assert.equal(failing.exitCode, 1);
        assert.equal(job.buildExitCode(), "3\n");
      });
    }

    it("may open /dev/stdout and /dev/stderr, and its input is empty", async () => {
      const run = await job.run(
        "build_script",
        "echo out > /dev/stdout; echo err > /dev/stderr; wc -c; echo again >> /dev/stderr",
      );
      assert.equal(run.exitCode, 0, logOf(run));
      if (withTerminal) assert.equal(run.stdout, "out\nerr\n0\nagain\n");
      else assert.deepEqual([run.stdout, run.stderr], ["out\n0\n", "err\nagain\n"]);
    });

    it("ends its stage although a process that it left holds its output", async () => {
      const background = where === "on the host" ? "setsid sleep 321 & sleep 322 &" : "sleep 321 & (sleep 322 &);";
      const run = await job.run("build_script", job.exporting(`${background} echo started`));
      assert.equal(run.exitCode, 0, logOf(run));
      assert.equal(run.stdout, "started\n");
      // GitLab Runner waits until nobody holds the driver's own output.
      assert.ok(run.durationMilliseconds < 60_000, `${run.durationMilliseconds}`);
      const next = await job.run("after_script", "echo next");
      assert.equal(next.stdout, "next\n");
    });
  });
}

it("what a script left in the background on the host writes no more into the log of a later stage", async () => {
  const job = jobs.job();
  await job.ready();
  const { builds_dir: builds } = job.answer;
  const writer = `(for i in 1 2 3 4 5 6 7 8; do sleep 0.1; echo from the past || break; done; : > '${builds}/over') &`;
  await job.run("build_script", job.exporting(`${writer} echo started`));
  const next = await job.run("after_script", "sleep 1; echo next");
  assert.equal(next.stdout, "next\n");
  await job.cleanup();
  assert.deepEqual(await tracesAfter(job, jobs.user, jobs.dataDir, 0), []);
  assert.ok(existsSync(builds));
});
