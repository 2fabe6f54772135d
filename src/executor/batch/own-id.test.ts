import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { flux } from "./flux.ts";
import { lsf } from "./lsf.ts";
import { otherOwnIds, readOwnId } from "./own-id.ts";
import { pbs } from "./pbs.ts";
import type { Answer, Identity, Scheduler } from "./scheduler.ts";
import { slurm } from "./slurm.ts";
import { recorded, toId } from "./testing/recorded.ts";

const name = "jacamar-ci-7-ab";

describe("readOwnId()", () => {
  const directory = mkdtempSync(join(tmpdir(), "jacamar-own-id-"));
  after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "step_release.job-id");

  for (const [text, expected] of [
    ["4\n", "4"],
    ["\u0192CUfSXq\n", "\u0192CUfSXq"],
    ["4", undefined],
    ["\n", undefined],
    ["", undefined],
    ["4 5\n", undefined],
    ["4\n5\n", undefined],
    [`${"4".repeat(301)}\n`, undefined],
  ] as const) {
    test(`reads ${JSON.stringify(text.slice(0, 20))} as ${String(expected)}`, () => {
      writeFileSync(path, text);
      assert.equal(readOwnId(path), expected);
    });
  }

  test("follows no link", () => {
    const link = join(directory, "link.job-id");
    symlinkSync(path, link);
    writeFileSync(path, "4\n");
    assert.equal(readOwnId(link), undefined);
  });

  test("has those of other steps by otherOwnIds()", () => {
    writeFileSync(join(directory, "step_script.job-id"), "3\n");
    writeFileSync(join(directory, "step_script.wanted"), "2\n");
    writeFileSync(join(directory, "step_script.job-id.new"), "1\n");
    assert.deepEqual(otherOwnIds(path), ["3"]);
  });
});

describe("Scheduler.readOwnId()", () => {
  const hostile = [
    "",
    "-1",
    "--all",
    "0;x",
    "1,2",
    "1_2",
    "1+2",
    "[1]",
    "1[2]",
    "1 2",
    "../1",
    "$(id)",
    "1.2",
    "all",
    "*",
  ];
  for (const [scheduler, good, bad] of [
    [slurm, ["4", "4294901759"], ["4;cluster", "0", "1.s", "\u01921"]],
    [flux, ["\u0192CUfSXq", "fCUfSXq"], ["\u0192A/\u0192B", "4", "\u01920"]],
    [pbs, ["123.server", "123"], ["123[].server", "123[1].server", "123.-x"]],
    [lsf, ["123"], ["123[4]", "0"]],
  ] as const) {
    test(`takes for an id of ${scheduler.title} what is one, and nothing else`, () => {
      for (const text of good) assert.equal(scheduler.readOwnId(text), text);
      const wrong = scheduler === pbs ? hostile.filter((text) => text !== "1.2") : hostile;
      for (const text of [...wrong, ...bad]) assert.equal(scheduler.readOwnId(text), undefined, text);
    });
  }
});

describe("Scheduler.identify()", () => {
  const answer = (stdout: string, exitCode = 0, stderr = ""): Partial<Answer> => ({ exitCode, stdout, stderr });
  const fluxRecord = (record: object) => answer(JSON.stringify({ jobid: "fA", state: "INACTIVE", ...record }));
  const pbsRecord = (record: object) => answer(JSON.stringify({ Jobs: { "4.server": { job_state: "R", ...record } } }));
  const pbsOurs = pbsRecord({ Job_Name: name, Job_Owner: "alice@login1" });
  const lsfRecord = (record: object) => answer(JSON.stringify({ COMMAND: "bjobs", JOBS: 1, RECORDS: [record] }));
  const table: readonly [Scheduler, id: string, Identity, what: string, ...Partial<Answer>[]][] = [
    [slurm, "4", "ours", "it says so", answer(`4|alice|${name}\n`)],
    [slurm, "4", "another", "it is another user's", answer(`4|alice2|${name}\n`)],
    [slurm, "4", "another", "it has another name", answer(`4|alice|${name}|x\n`)],
    [
      slurm,
      "4",
      "unknown",
      "nobody answers",
      answer("", 1, "slurm_load_jobs error: Unable to contact slurm controller\n"),
    ],
    [
      slurm,
      "4",
      "ours",
      "the accounting knows it",
      answer("", 1, "slurm_load_jobs error: Invalid job id specified\n"),
      answer(`alice|${name}\n`),
    ],
    [slurm, "4", "unknown", "the row of another job is all there is", answer(`44|alice|${name}\n`), answer("", 1)],
    [flux, "\u0192A", "ours", "it says so", fluxRecord({ name, username: "alice" })],
    [flux, "\u0192A", "another", "it is another user's", fluxRecord({ name, username: "bob" })],
    [flux, "\u0192A", "another", "it has another name", fluxRecord({ name: "x", username: "alice" })],
    [flux, "\u0192A", "unknown", "it has forgotten it", answer("", 1, "JobID \u0192A unknown\n")],
    [pbs, "4.server", "ours", "it says so", pbsOurs],
    [
      pbs,
      "4.server",
      "ours",
      "it has ended, and there is a history",
      answer("{}", 35, "qstat: 4.server Job has finished, use -x or -H to obtain historical job information\n"),
      pbsOurs,
    ],
    [pbs, "4.server", "another", "it is another user's", pbsRecord({ Job_Name: name, Job_Owner: "bob@login1" })],
    [pbs, "4.server", "another", "it has another name", pbsRecord({ Job_Name: "x", Job_Owner: "alice@login1" })],
    [pbs, "4.server", "unknown", "it has forgotten it", answer("{}", 153, "qstat: Unknown Job Id 4.server\n")],
    [lsf, "4", "ours", "it says so", lsfRecord({ JOBID: "4", USER: "alice", JOB_NAME: name })],
    [lsf, "4", "another", "it is another user's", lsfRecord({ JOBID: "4", USER: "bob", JOB_NAME: name })],
    [lsf, "4", "another", "it has another name", lsfRecord({ JOBID: "4", USER: "alice", JOB_NAME: "x" })],
    [lsf, "4", "unknown", "it has forgotten it", lsfRecord({ JOBID: "4", ERROR: "Job <4> is not found" })],
    [lsf, "4", "unknown", "nobody answers", answer("", 255, "LSF is down. Please wait ...\n")],
  ];
  for (const [scheduler, id, expected, what, ...answers] of table) {
    test(`says "${expected}" when of a job of ${scheduler.title}'s ${what}`, async () => {
      const { call } = recorded(...answers);
      assert.equal(await scheduler.identify(toId(id), name, "alice", call), expected);
    });
  }
});

describe("Scheduler.findEnded()", () => {
  for (const [scheduler, stdout, line, id] of [
    [slurm, "4\n", `squeue --noheader --user=alice --name=${name} --states=all --format=%A`, "4"],
    [
      flux,
      JSON.stringify({ jobs: [{ jobid: "fA", name, state: "INACTIVE" }] }),
      `flux jobs --json -a --name=${name} --user=alice`,
      "fA",
    ],
    [pbs, "4.server\n", `qselect -x -u alice -N ${name}`, "4.server"],
    [
      lsf,
      JSON.stringify({ RECORDS: [{ JOBID: "4", JOB_NAME: name }] }),
      `bjobs -a -u alice -J ${name} -o jobid job_name -json`,
      "4",
    ],
  ] as const) {
    test(`asks ${scheduler.title} for those that have ended, too`, async () => {
      const { call, calls } = recorded({ stdout });
      assert.deepEqual(await scheduler.findEnded(name, "alice", call), [id]);
      assert.deepEqual(
        calls.map((argv) => argv.join(" ")),
        [line],
      );
    });
  }

  test("asks Slurm's accounting where the controller has none", async () => {
    const { call, calls } = recorded({}, { stdout: "4\n" });
    assert.deepEqual(await slurm.findEnded(name, "alice", call), ["4"]);
    assert.match(calls[1]?.join(" ") ?? "", /^sacct .*--starttime=now-1hours --user=alice --name=jacamar-ci-7-ab$/);
  });
});
