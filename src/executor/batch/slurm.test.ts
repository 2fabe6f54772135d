import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Answer, QueueState, SchedulerId, Submitted } from "./scheduler.ts";
import { readHistory, readQueue, readRecord, readSubmission, slurm } from "./slurm.ts";
import { toId as id } from "./testing/recorded.ts";
import { scripted } from "./testing/scripted-calls.ts";

/** All answers of Slurm's in this file were printed by Slurm 22.05 unless a comment says where else they come from. */
const answer = (exitCode: number | undefined, stdout: string, stderr = ""): Answer => ({ exitCode, stdout, stderr });

describe("readSubmission()", () => {
  const table: [what: string, given: Answer, expected: Submitted["kind"], idOrWords?: string | RegExp][] = [
    ["an id", answer(0, "4\n"), "accepted", "4"],
    ["an id and its cluster", answer(0, "4;tundra\n"), "accepted", "4;tundra"],
    ["an id after what the site's wrapper says", answer(0, "Welcome!\n4\n"), "accepted", "4"],
    ["an id and a warning", answer(0, "4\n", "sbatch: warning: can't honor --ntasks\n"), "accepted", "4"],
    ["nothing at all", answer(0, ""), "unanswered", /no message, exit code 0/],
    ["words where the id should be", answer(0, "Submitted batch job\n"), "unanswered"],
    ["half a line", answer(0, "4;"), "unanswered"],
    ["an id that is an option", answer(0, "-1\n"), "unanswered"],
    ["an id with a program behind it", answer(0, "4;a b\n"), "unanswered"],
    ["an id before what the site's wrapper says", answer(0, "4\nBilling account: ci\n"), "accepted", "4"],
    [
      "an id among words of the site on both streams",
      answer(0, "Hello\n4\nBye\n", "sbatch: Billing account: ci\n"),
      "accepted",
      "4",
    ],
    ["an id that a wrapper has asked for in another way", answer(0, "Submitted batch job 4\n"), "accepted", "4"],
    ["the same with its cluster", answer(0, "Submitted batch job 4 on cluster tundra\n"), "accepted", "4;tundra"],
    ["an id twice", answer(0, "4\nSubmitted batch job 4\n"), "accepted", "4"],
    ["an id and another number", answer(0, "4\nHours left:\n1200\n"), "unanswered"],
    ["an id and then a failure", answer(1, "4\n", "sbatch: error: x\n"), "unanswered"],
    ["silence, until it was killed", answer(undefined, "", ""), "unanswered", /no answer in time/],
    ["a message, until it was killed", answer(undefined, "", "sbatch: error: something\n"), "unanswered"],
    ["a crash without a word", answer(139, ""), "unanswered", /no message, exit code 139/],
    [
      "an unknown option",
      answer(255, "", "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information\n"),
      "refused",
      /unrecognized option '--bogus'/,
    ],
    ["a bad time", answer(255, "", "sbatch: error: Invalid --time specification\n"), "refused"],
    [
      "an unknown partition",
      answer(
        1,
        "",
        "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n",
      ),
      "refused",
      /invalid partition specified: nope\n.*Invalid partition name specified/,
    ],
    ["an unknown feature", failed("Invalid feature specification"), "refused"],
    ["an unknown node", failed("Invalid node name specified"), "refused"],
    ["an unknown reservation", failed("Requested reservation is invalid"), "refused"],
    ["more than there is", failed("Requested node configuration is not available"), "refused"],
    // src/common/slurm_errno.c of Slurm:
    [
      "an account that the user may not use",
      failed("Invalid account or account/partition combination specified"),
      "refused",
    ],
    [
      "too many jobs",
      failed("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"),
      "refused",
    ],
    ["an access that is denied", failed("Access/permission denied"), "refused"],
    [
      "a controller that is frozen",
      failed("Socket timed out on send/recv operation"),
      "unanswered",
      /Socket timed out/,
    ],
    ["a controller that is down", failed("Unable to contact slurm controller (connect failure)"), "unanswered"],
    ["a controller that starts", failed("Slurm temporarily unable to accept job, sleeping and retrying"), "unanswered"],
    ["a node without munge", failed("Protocol authentication error"), "unanswered"],
    ["a controller that cannot be asked", failed("Zero Bytes were transmitted or received"), "unanswered"],
  ];
  for (const [what, given, kind, idOrWords] of table) {
    test(`takes ${what} for ${kind}`, () => {
      const submitted = readSubmission(given);
      assert.equal(submitted.kind, kind);
      if (idOrWords === undefined) return;
      if (submitted.kind === "accepted") assert.equal(submitted.id, idOrWords);
      else assert.match(submitted.said, new RegExp(idOrWords));
    });
  }

  function failed(words: string): Answer {
    return answer(1, "", `sbatch: error: Batch job submission failed: ${words}\n`);
  }
});

describe("readQueue()", () => {
  const table: [row: string, state: QueueState][] = [
    ["4|PENDING|N/A||Priority", { kind: "pending", reason: "Priority", estimatedStart: undefined }],
    ["4|PENDING|N/A||JobHeldUser", { kind: "pending", reason: "JobHeldUser", estimatedStart: undefined }],
    [
      "4|PENDING|2026-11-25T16:07:44||Resources",
      { kind: "pending", reason: "Resources", estimatedStart: "2026-11-25T16:07:44" },
    ],
    ["4|PENDING|N/A||None", { kind: "pending", reason: undefined, estimatedStart: undefined }],
    [
      "4|PENDING|N/A||Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
      {
        kind: "pending",
        reason: "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
        estimatedStart: undefined,
      },
    ],
    [
      "4|PENDING|N/A||ReqNodeNotAvail, UnavailableNodes:vm",
      { kind: "pending", reason: "ReqNodeNotAvail, UnavailableNodes:vm", estimatedStart: undefined },
    ],
    ["4|CONFIGURING|N/A|vm|None", { kind: "pending", reason: "CONFIGURING", estimatedStart: undefined }],
    ["4|REQUEUED|N/A||None", { kind: "pending", reason: "REQUEUED", estimatedStart: undefined }],
    [
      "4|SPECIAL_EXIT|N/A||job requeued in held state",
      { kind: "pending", reason: "job requeued in held state", estimatedStart: undefined },
    ],
    ["4|RUNNING|2026-11-25T16:07:44|vm|None", { kind: "running", nodes: "vm" }],
    ["4|RUNNING|2026-11-25T16:07:44|n[01-04,7]|None", { kind: "running", nodes: "n[01-04,7]" }],
    ["4|COMPLETING|2026-11-25T16:07:44|vm|TimeLimit", { kind: "running", nodes: "vm" }],
    ["4|SUSPENDED|2026-11-25T16:07:44|vm|None", { kind: "running", nodes: "vm" }],
    ["4|COMPLETED|2026-11-25T16:07:44|vm|None", ended("completed", "COMPLETED")],
    ["4|FAILED|2026-11-25T16:07:44|vm|NonZeroExitCode", ended("failed", "FAILED (NonZeroExitCode)")],
    ["4|FAILED|2026-11-25T16:07:44|vm|JobLaunchFailure", ended("failed", "FAILED (JobLaunchFailure)")],
    ["4|CANCELLED|2026-11-25T16:07:44||JobHeldUser", ended("cancelled", "CANCELLED (JobHeldUser)")],
    ["4|CANCELLED|2026-11-25T16:07:44|vm|None", ended("cancelled", "CANCELLED")],
    ["4|TIMEOUT|2026-11-25T16:07:44|vm|TimeLimit", ended("time-limit", "TIMEOUT (TimeLimit)")],
    ["4|OUT_OF_MEMORY|2026-11-25T16:07:44|vm|OutOfMemory", ended("memory-limit", "OUT_OF_MEMORY (OutOfMemory)")],
    ["4|NODE_FAIL|2026-11-25T16:07:44|vm|NodeDown", ended("node-failure", "NODE_FAIL (NodeDown)")],
    ["4|PREEMPTED|2026-11-25T16:07:44|vm|None", ended("preempted", "PREEMPTED")],
    ["4|BOOT_FAIL|2026-11-25T16:07:44|vm|None", ended("node-failure", "BOOT_FAIL")],
    ["4|DEADLINE|2026-11-25T16:07:44||DeadLine", ended("time-limit", "DEADLINE (DeadLine)")],
    // A reason is the last column: it may hold the separator.
    ["4|PENDING|N/A||a|b|c", { kind: "pending", reason: "a|b|c", estimatedStart: undefined }],
    ["  4|RUNNING|N/A|vm|None  ", { kind: "running", nodes: "vm" }],
  ];
  for (const [row, state] of table) {
    test(`reads ${row}`, () => assert.deepEqual(Object.fromEntries(readQueue(`${row}\n`)), { 4: state }));
  }

  const nothing = [
    "",
    "\n\n",
    "4",
    "4|",
    "4|PEND",
    "4|PENDING|N/A|",
    "4|pending|N/A||None",
    "4|NO_SUCH_STATE|N/A||None",
    "4|constructor|N/A||None",
    "four|PENDING|N/A||None",
    "4_1|PENDING|N/A||None",
    "-4|PENDING|N/A||None",
    "slurm_load_jobs error: Invalid job id specified",
  ];
  for (const text of nothing) {
    test(`reads no end and no state from ${JSON.stringify(text)}`, () => assert.deepEqual([...readQueue(text)], []));
  }

  test("reads each of many rows, and none of the half one at the end", () => {
    const states = readQueue("1|RUNNING|N/A|vm|None\n2|PENDING|N/A||Priority\nrubbish\n3|COMPLE");
    assert.deepEqual([...states.keys()], ["1", "2"]);
  });

  test("never throws and never makes an end of what Slurm does not say", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        for (const state of readQueue(text).values()) assert.notEqual(state.kind, "ended");
      }),
    );
  });

  function ended(end: (QueueState & { kind: "ended" })["end"], said: string): QueueState {
    return { kind: "ended", end, said, exitCode: undefined };
  }
});

describe("readRecord()", () => {
  const table: [fields: string, end: string, said: string, exitCode: number | undefined][] = [
    ["JobState=COMPLETED Reason=None ExitCode=0:0", "completed", "COMPLETED", 0],
    ["JobState=FAILED Reason=NonZeroExitCode ExitCode=7:0", "failed", "FAILED (NonZeroExitCode)", 7],
    ["JobState=FAILED Reason=JobLaunchFailure ExitCode=0:9", "failed", "FAILED (JobLaunchFailure)", 137],
    ["JobState=FAILED Reason=JobLaunchFailure ExitCode=0:53", "failed", "FAILED (JobLaunchFailure)", 181],
    ["JobState=CANCELLED Reason=None ExitCode=0:15", "cancelled", "CANCELLED", 143],
    ["JobState=CANCELLED Reason=None ExitCode=9:0", "cancelled", "CANCELLED", 9],
    ["JobState=TIMEOUT Reason=TimeLimit ExitCode=0:0", "time-limit", "TIMEOUT (TimeLimit)", 0],
    ["JobState=OUT_OF_MEMORY Reason=OutOfMemory ExitCode=0:125", "memory-limit", "OUT_OF_MEMORY (OutOfMemory)", 253],
    ["JobState=FAILED", "failed", "FAILED", undefined],
    ["JobState=FAILED ExitCode=banana", "failed", "FAILED", undefined],
  ];
  for (const [fields, end, said, exitCode] of table) {
    test(`reads ${fields}`, () => {
      const text = `JobId=4 JobName=ci Priority=1 ${fields.replace(" ExitCode", " Requeue=1 ExitCode")} NodeList=vm\n`;
      assert.deepEqual(readRecord(text), { kind: "ended", end, said, exitCode });
    });
  }

  test("is not misled by a job's name", () => {
    const text = "JobId=4 JobName=xJobState=COMPLETED JobState=RUNNING Reason=None NodeList=vm ExitCode=0:0";
    assert.deepEqual(readRecord(text), { kind: "running", nodes: "vm" });
  });

  for (const text of ["", "JobState=", "JobState=BANANA", "scontrol_print_job error: Invalid job id specified"]) {
    test(`reads nothing from ${JSON.stringify(text)}`, () => assert.equal(readRecord(text), undefined));
  }
});

describe("readHistory()", () => {
  // sacct(1), JOB STATE CODES and the examples of --parsable2.
  test("reads the last line, and who cancelled the job is no part of the state", () => {
    const cancelled = { kind: "ended", end: "cancelled", said: "CANCELLED", exitCode: 143 };
    assert.deepEqual(readHistory("CANCELLED by 1000|0:15|None\n"), cancelled);
    assert.deepEqual(readHistory("NODE_FAIL|0:0|\nCANCELLED by 1000|0:15|\n\n"), cancelled);
    assert.deepEqual(readHistory("FAILED|7:0|NonZeroExitCode\n"), {
      kind: "ended",
      end: "failed",
      said: "FAILED (NonZeroExitCode)",
      exitCode: 7,
    });
  });

  for (const text of ["", "\n", "|||", "lower|0:0|", "BANANA|0:0|None"]) {
    test(`reads nothing from ${JSON.stringify(text)}`, () => assert.equal(readHistory(text), undefined));
  }
});

describe("slurm.ask()", () => {
  const row = "1|RUNNING|N/A|vm|None\n";

  test("asks for all jobs in one call", async () => {
    const calls = scripted({ squeue: answer(0, `${row}2|PENDING|N/A||Priority\n`) });
    const states = await slurm.ask([id("1"), id("2")], calls.call);
    assert.deepEqual(kinds(states), { 1: "running", 2: "pending" });
    assert.deepEqual(calls.made, ["squeue --noheader --states=all --jobs=1,2 --format=%A|%T|%S|%N|%r"]);
  });

  test("asks each cluster for its own", async () => {
    const calls = scripted({ squeue: answer(0, row) });
    const states = await slurm.ask([id("1"), id("1;b")], calls.call);
    assert.deepEqual(kinds(states), { 1: "running", "1;b": "running" });
    assert.equal(calls.made.length, 2);
    assert.match(calls.made[1] ?? "", /--clusters=b --states=all --jobs=1 /);
  });

  test("asks once more for the exit code of one that ended", async () => {
    const calls = scripted({
      squeue: answer(0, "1|FAILED|N/A|vm|NonZeroExitCode\n"),
      scontrol: answer(0, "JobId=1 JobState=FAILED Reason=NonZeroExitCode ExitCode=7:0 NodeList=vm\n"),
    });
    assert.deepEqual(await only(calls), {
      kind: "ended",
      end: "failed",
      said: "FAILED (NonZeroExitCode)",
      exitCode: 7,
    });
  });

  test("keeps the end without an exit code when that is not answered", async () => {
    const calls = scripted({
      squeue: answer(0, "1|FAILED|N/A|vm|NonZeroExitCode\n"),
      scontrol: answer(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"),
    });
    assert.deepEqual(await only(calls), {
      kind: "ended",
      end: "failed",
      said: "FAILED (NonZeroExitCode)",
      exitCode: undefined,
    });
  });

  const away: [what: string, given: Answer][] = [
    ["is down", answer(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")],
    ["is frozen", answer(1, "", "slurm_load_jobs error: Socket timed out on send/recv operation\n")],
    ["hangs", answer(undefined, "", "")],
    ["hangs after half an answer", answer(undefined, "1|COMPLETED|N/A|vm|None\n", "")],
    ["fails without a word", answer(1, "", "")],
  ];
  for (const [what, given] of away) {
    test(`knows nothing when the controller ${what}, and asks nobody else`, async () => {
      const calls = scripted({ squeue: given });
      assert.equal((await only(calls)).kind, "unknown");
      assert.equal(calls.made.length, 1);
    });
  }

  test("asks the accounting for a job that the controller has forgotten, in either way of saying so", async () => {
    for (const forgotten of [answer(0, ""), answer(1, "", "slurm_load_jobs error: Invalid job id specified\n")]) {
      const calls = scripted({ squeue: forgotten, sacct: answer(0, "COMPLETED|0:0|None\n") });
      assert.deepEqual(await only(calls), { kind: "ended", end: "completed", said: "COMPLETED", exitCode: 0 });
    }
  });

  test("calls a forgotten job unknown, never ended, where no accounting remembers it", async () => {
    for (const sacct of [
      answer(1, "", "Slurm accounting storage is disabled\n"),
      answer(0, ""),
      answer(undefined, ""),
    ]) {
      const state = await only(scripted({ squeue: answer(0, ""), sacct }));
      assert.deepEqual(state, { kind: "unknown", said: "Slurm does not know the job 1 any more" });
    }
  });

  async function only(calls: ReturnType<typeof scripted>): Promise<QueueState> {
    const states = await slurm.ask([id("1")], calls.call);
    const state = states.get(id("1"));
    assert.ok(state);
    return state;
  }

  function kinds(states: ReadonlyMap<SchedulerId, QueueState>): Record<string, string> {
    return Object.fromEntries([...states].map(([key, state]) => [key, state.kind]));
  }
});

describe("slurm's other calls", () => {
  test("submits with our options first, the user's next, the job file last; a % of the path is no pattern", async () => {
    const calls = scripted({ sbatch: answer(0, "4\n") });
    const submission = {
      name: "jacamar-ci-7-ab",
      jobFile: "/d/100%20x/build.job",
      logFile: "/d/100%20x/build.log",
      userArguments: ["-n", "3 or; more"],
    };
    assert.deepEqual(await slurm.submit(submission, calls.call), { kind: "accepted", id: "4" });
    assert.deepEqual(calls.argv[0], [
      "sbatch",
      "--parsable",
      "--job-name=jacamar-ci-7-ab",
      "--output=/d/100%%20x/build.log",
      "--open-mode=append",
      "-n",
      "3 or; more",
      "/d/100%20x/build.job",
    ]);
  });

  test("finds the user's jobs that have not ended, by their name", async () => {
    const calls = scripted({ squeue: answer(0, "4\n17\nrubbish\n") });
    assert.deepEqual(await slurm.find("n", "alice", calls.call), ["4", "17"]);
    assert.match(calls.made[0] ?? "", /--user=alice --name=n --states=PENDING,/);
    assert.deepEqual(await slurm.find("n", "alice", scripted({ squeue: answer(0, "") }).call), []);
  });

  test("does not say that there are none when Slurm does not answer", async () => {
    for (const given of [answer(1, "", "slurm_load_jobs error: x\n"), answer(undefined, "")]) {
      assert.equal(await slurm.find("n", "alice", scripted({ squeue: given }).call), undefined);
    }
  });

  test("tells a job to end by its batch shell alone, and cancels it in its cluster", async () => {
    const calls = scripted({ scancel: answer(0, "") });
    await slurm.terminate(id("4"), calls.call);
    await slurm.cancel(id("4;b"), calls.call);
    assert.deepEqual(calls.made, ["scancel --signal=TERM --batch 4", "scancel --clusters=b 4"]);
  });

  test("finds steps by their name alone, which may hold anything", async () => {
    const rows = "45.2|jacamar-ci-7-ab\n45.3|other\n45.batch|jacamar-ci-7-ab\n46.0|jacamar-ci-7-ab|x\n";
    const calls = scripted({ squeue: answer(0, rows) });
    assert.deepEqual(await slurm.steps?.find("jacamar-ci-7-ab", "alice", calls.call), ["45.2"]);
  });
});
