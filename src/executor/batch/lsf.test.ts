import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { lsf, readLsfSubmission } from "./lsf.ts";
import { findOwn } from "./own-arguments.ts";
import type { QueueState } from "./scheduler.ts";
import { type Recording, recorded, toId } from "./testing/recorded.ts";

/** What bjobs of LSF 10.1 prints for `-json`. */
function document(...records: readonly Readonly<Record<string, string>>[]): string {
  return JSON.stringify({ COMMAND: "bjobs", JOBS: records.length, RECORDS: records }, undefined, 2);
}

describe("lsf.submit()", () => {
  test("gives the command as a line of shell", async () => {
    const { call, calls } = recorded({ stdout: "Job <123> is submitted to queue <normal>.\n" });
    const submission = { name: "n", jobFile: "/x/it's a job", logFile: "/x/log", userArguments: ["-W", "10"] };
    assert.deepEqual(await lsf.submit(submission, call), { kind: "accepted", id: "123" });
    const ours = ["-J", "n", "-o", "/x/log", "/bin/sh", "'/x/it'\\''s a job'"];
    assert.deepEqual(calls, [["bsub", "-W", "10", ...ours]]);
  });
});

describe("readLsfSubmission()", () => {
  const table: [what: string, answer: Parameters<typeof readLsfSubmission>[0], kind: string][] = [
    [
      "a number",
      { exitCode: 0, stdout: "Job <123> is submitted to default queue <normal>.\n", stderr: "" },
      "accepted",
    ],
    [
      "a number among a site's words",
      { exitCode: 0, stdout: "Checking account…\nJob <1> is submitted to queue <q>.\nBye\n", stderr: "" },
      "accepted",
    ],
    ["nothing", { exitCode: 0, stdout: "", stderr: "" }, "unanswered"],
    ["half an answer", { exitCode: 0, stdout: "Job <12", stderr: "" }, "unanswered"],
    [
      "no answer in time",
      { exitCode: undefined, stdout: "", stderr: "Cannot connect to LSF. Please wait ..." },
      "unanswered",
    ],
    ["an unknown queue", { exitCode: 255, stdout: "", stderr: "nope: No such queue. Job not submitted.\n" }, "refused"],
    [
      "a refusal of the site's",
      { exitCode: 255, stdout: "", stderr: "Request aborted by esub. Job not submitted.\n" },
      "refused",
    ],
    [
      "a cluster that is away",
      { exitCode: 255, stdout: "", stderr: "Cannot connect to LSF. Please wait ...\n" },
      "unanswered",
    ],
    [
      "a library that fails",
      { exitCode: 255, stdout: "", stderr: "Failed in an LSF library call: Master LIM is down. Job not submitted.\n" },
      "unanswered",
    ],
  ];
  for (const [what, answer, kind] of table) {
    test(`takes ${what} for ${kind}`, () => assert.equal(readLsfSubmission(answer).kind, kind));
  }
});

describe("lsf.ask()", () => {
  async function state(record: Readonly<Record<string, string>>): Promise<QueueState | undefined> {
    const empty = { EXIT_CODE: "", EXIT_REASON: "", PEND_REASON: "", EXEC_HOST: "" };
    const { call } = recorded({ stdout: document({ JOBID: "123", ...empty, ...record }) });
    return (await lsf.ask([toId("123")], call)).get(toId("123"));
  }

  const table: [record: Readonly<Record<string, string>>, state: QueueState][] = [
    [{ STAT: "PEND" }, { kind: "pending", reason: undefined }],
    [
      { STAT: "PEND", PEND_REASON: "New job is waiting for scheduling;" },
      { kind: "pending", reason: "New job is waiting for scheduling" },
    ],
    [
      { STAT: "PSUSP", PEND_REASON: "Job was suspended by the user while pending;" },
      { kind: "pending", reason: "Job was suspended by the user while pending" },
    ],
    [
      { STAT: "RUN", EXEC_HOST: "4*n1:2*n2:n1" },
      { kind: "running", nodes: "n1,n2" },
    ],
    [{ STAT: "USUSP" }, { kind: "running", nodes: undefined }],
    [{ STAT: "SSUSP" }, { kind: "running", nodes: undefined }],
    [{ STAT: "DONE" }, { kind: "ended", end: "completed", said: "DONE", exitCode: 0 }],
    [
      { STAT: "EXIT", EXIT_CODE: "7" },
      { kind: "ended", end: "failed", said: "EXIT 7", exitCode: 7 },
    ],
    [
      { STAT: "EXIT", EXIT_CODE: "130", EXIT_REASON: "TERM_OWNER: job killed by owner" },
      { kind: "ended", end: "cancelled", said: "TERM_OWNER: job killed by owner", exitCode: 130 },
    ],
    [
      { STAT: "EXIT", EXIT_CODE: "130" },
      { kind: "ended", end: "cancelled", said: "EXIT 130", exitCode: 130 },
    ],
    [
      { STAT: "EXIT", EXIT_CODE: "140" },
      { kind: "ended", end: "time-limit", said: "EXIT 140", exitCode: 140 },
    ],
    [
      { STAT: "EXIT", EXIT_CODE: "1", EXIT_REASON: "TERM_RUNLIMIT: job killed after reaching LSF run time limit" },
      {
        kind: "ended",
        end: "time-limit",
        said: "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
        exitCode: 1,
      },
    ],
    [
      {
        STAT: "EXIT",
        EXIT_CODE: "137",
        EXIT_REASON: "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit",
      },
      {
        kind: "ended",
        end: "memory-limit",
        said: "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit",
        exitCode: 137,
      },
    ],
    [{ STAT: "EXIT" }, { kind: "ended", end: "failed", said: "EXIT", exitCode: undefined }],
    [{ STAT: "UNKWN" }, { kind: "unknown", said: "LSF says that the job is in the state UNKWN" }],
    [{ STAT: "ZOMBI" }, { kind: "unknown", said: "LSF says that the job is in the state ZOMBI" }],
    [{ ERROR: "Job <123> is not found" }, { kind: "unknown", said: "Job <123> is not found" }],
  ];
  for (const [record, expected] of table) {
    test(`reads ${JSON.stringify(record)}`, async () => assert.deepEqual(await state(record), expected));
  }

  test("asks for all in one call, and minds no exit code", async () => {
    const records = [
      { JOBID: "1", STAT: "RUN" },
      { JOBID: "2", ERROR: "Job <2> is not found" },
    ];
    const { call, calls } = recorded({ exitCode: 255, stdout: document(...records) });
    const states = await lsf.ask([toId("1"), toId("2"), toId("3")], call);
    assert.equal(calls.length, 1);
    assert.deepEqual(
      [...states.values()].map(({ kind }) => kind),
      ["running", "unknown", "unknown"],
    );
  });

  test("reads a document behind other words", async () => {
    const stdout = `Cannot connect to LSF. Please wait ...\n${document({ JOBID: "123", STAT: "RUN" })}`;
    const states = await lsf.ask([toId("123")], recorded({ stdout }).call);
    assert.equal(states.get(toId("123"))?.kind, "running");
  });

  const silence: [what: string, answer: Recording][] = [
    ["a cluster that is away", { exitCode: undefined, stderr: "Cannot connect to LSF. Please wait ..." }],
    ["an unknown job", { exitCode: 255, stderr: "Job <123> is not found" }],
    ["half an answer", { stdout: document({ JOBID: "123", STAT: "EXIT" }).slice(0, 90) }],
    ["nonsense", { stdout: "\u0000{[<|" }],
    ["another job", { stdout: document({ JOBID: "1234", STAT: "EXIT", EXIT_CODE: "1" }) }],
  ];
  for (const [what, answer] of silence) {
    test(`takes ${what} for no end`, async () => {
      const states = await lsf.ask([toId("123")], recorded(answer).call);
      assert.equal(states.get(toId("123"))?.kind, "unknown");
    });
  }
});

describe("lsf.find()", () => {
  test("finds the jobs of exactly that name", async () => {
    const stdout = document({ JOBID: "1", JOB_NAME: "n" }, { JOBID: "2", JOB_NAME: "n2" });
    assert.deepEqual(await lsf.find("n", "alice", recorded({ stdout }).call), ["1"]);
  });

  test("knows that there is none, however LSF says so", async () => {
    for (const exitCode of [0, 255]) {
      assert.deepEqual(await lsf.find("n", "a", recorded({ exitCode, stdout: document() }).call), []);
      assert.deepEqual(await lsf.find("n", "a", recorded({ exitCode, stderr: "Job <n> is not found\n" }).call), []);
      assert.deepEqual(await lsf.find("n", "a", recorded({ exitCode, stderr: "No unfinished job found\n" }).call), []);
    }
  });

  test("knows nothing where LSF says nothing", async () => {
    assert.equal(await lsf.find("n", "a", recorded({ exitCode: undefined }).call), undefined);
    assert.equal(
      await lsf.find("n", "a", recorded({ stderr: "Cannot connect to LSF. Please wait ..." }).call),
      undefined,
    );
  });
});

describe("what users may not give to LSF", () => {
  const refused = [
    ["-J", "x"],
    ["-Jx"],
    ["-o", "x"],
    ["-ofile"],
    ["-oo", "x"],
    ["-e", "x"],
    ["-eo", "x"],
    ["-i", "x"],
    ["-is", "x"],
    ["-K"],
    ["-I"],
    ["-Is"],
    ["-Ip"],
    ["-pack", "x"],
    ["-jsdl", "x"],
    ["-json", "x"],
    ["-yaml", "x"],
    ["-h"],
    ["-V"],
    ["-n", "2", "script"],
  ];
  for (const line of refused) {
    test(`${line.join(" ")} is refused`, () => assert.ok(findOwn(line, lsf.ownArguments)));
  }

  const free = [
    ["-n4", "-W10", "-qnormal"],
    ["-n", "4", "-W", "0:10", "-q", "normal", "-P", "proj", "-G", "group"],
    ["-R", "select[mem>100] rusage[mem=100]", "-Rspan[hosts=1]", "-M", "1G"],
    ["-gpu", "num=2", "-app", "x", "-env", "none", "-cwd", "/x", "-Jd", "words"],
    ["-nnodes", "2", "-alloc_flags", "smt4", "-H", "-x", "-N", "-r", "-sla", "y"],
    ["-outdir", "/x", "-ext", "x", "-hostfile", "f", "-eptl", "10", "-ul", "-B"],
  ];
  for (const line of free) {
    test(`${line.join(" ")} is the user's`, () => assert.equal(findOwn(line, lsf.ownArguments), undefined));
  }
});
