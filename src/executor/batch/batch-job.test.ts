import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { awaitStart, runBatchJob } from "./batch-job.ts";
import type { BatchTools } from "./following.ts";
import { QueueBoard } from "./queue-board.ts";
import type { Answer } from "./scheduler.ts";
import { slurm } from "./slurm.ts";
import { makeJobFiles } from "./testing/job-files.ts";
import { toId } from "./testing/recorded.ts";
import { type ScriptedCalls, scripted } from "./testing/scripted-calls.ts";

const answer = (exitCode: number | undefined, stdout: string, stderr = ""): Answer => ({ exitCode, stdout, stderr });
const row = (state: string, reason = "None") => answer(0, `4|${state}|N/A|n1|${reason}\n`);
const none = answer(0, "");
const name = "jacamar-ci-7-ab";

let files: ReturnType<typeof makeJobFiles>;
let log: string[];
let stop: AbortController;

beforeEach(() => {
  files = makeJobFiles();
  log = [];
  stop = new AbortController();
});
afterEach(() => files.remove());

function toolsFor({ call }: ScriptedCalls, more: Partial<BatchTools> = {}): BatchTools {
  return {
    scheduler: slurm,
    call,
    board: undefined,
    files,
    userName: "alice",
    patience: { askMilliseconds: 1000, filesMilliseconds: 200, queueMilliseconds: undefined },
    killTimeoutSeconds: 1,
    say: (line) => log.push(line),
    sink: (chunk) => log.push(Buffer.from(chunk).toString()),
    stop: stop.signal,
    ...more,
  };
}

describe("runBatchJob()", () => {
  const submission = () => ({ name, jobFile: files.jobFile, logFile: files.log, userArguments: [] });

  test("submits, tells the number and the name, and ends with the status", async () => {
    writeFileSync(files.started, "1 n1\n");
    writeFileSync(files.output, "all\n");
    writeFileSync(files.status, "script=0 client=0 bytes=4 signal=none began=1 ended=2\n");
    const end = await runBatchJob(submission(), toolsFor(scripted({ sbatch: answer(0, "4\n") })));
    assert.deepEqual([end.id, end.status?.script], ["4", 0]);
    assert.deepEqual(log, [
      `Submitted as Slurm job 4 (${name})`,
      "Slurm job 4 has started on n1 after 0s in the queue",
      "all\n",
    ]);
  });

  test("asks by the board while it waits, and takes its note away, also when it fails", async () => {
    const board = new QueueBoard(join(files.directory, "board"));
    const calls = scripted({ sbatch: answer(0, "4\n"), squeue: [row("PENDING", "Priority"), none], scancel: none });
    const patience = { askMilliseconds: 1000, filesMilliseconds: 200, queueMilliseconds: 1500 };
    await assert.rejects(runBatchJob(submission(), toolsFor(calls, { board, patience })), { code: "queue_timeout" });
    assert.match(log[1] ?? "", /waits in the queue: Priority/);
    assert.deepEqual(readdirSync(join(files.directory, "board")), ["board"]);
  });

  test("follows the one that has begun, of a job that was submitted twice", async () => {
    writeFileSync(files.ownId, "3\n");
    writeFileSync(files.started, "1 n1\n");
    const ended = answer(0, "4|FAILED|N/A|n1|NonZeroExitCode\n");
    const squeue = [ended, answer(0, `3|alice|${name}\n`), answer(0, "3|RUNNING|N/A|n1|None\n")];
    const calls = scripted({ sbatch: answer(0, "4\n"), squeue, scontrol: answer(1, "") });
    setTimeout(() => writeFileSync(files.status, "script=7 client=7 bytes=0 signal=none began=1 ended=2\n"), 3000);
    const end = await runBatchJob(submission(), toolsFor(calls));
    assert.deepEqual([end.id, end.status?.script], ["3", 7]);
    assert.ok(log.includes("It was submitted more than once, and runs as Slurm job 3"), log.join("\n"));
  });

  test("does not follow another job whose number stands in its place", async () => {
    writeFileSync(files.ownId, "3\n");
    writeFileSync(files.started, "1 n1\n");
    const ended = answer(0, "4|FAILED|N/A|n1|NonZeroExitCode\n");
    const another = answer(0, "3|bob|x\n");
    const squeue = [ended, another, ended, another];
    const calls = scripted({ sbatch: answer(0, "4\n"), squeue, scontrol: answer(1, "") });
    const end = await runBatchJob(submission(), toolsFor(calls));
    assert.deepEqual([end.id, end.state?.end], ["4", "failed"]);
  });

  describe("of a job that only says itself which it is", () => {
    const silent = answer(undefined, "");
    const ofNobody = answer(1, "", "slurm_load_jobs error: Socket timed out on send/recv operation\n");
    const lost = { sbatch: silent, sacct: silent, scancel: none };
    const started = (status: boolean) => {
      writeFileSync(files.ownId, "17\n");
      writeFileSync(files.started, "1 n1\n");
      writeFileSync(files.output, "all\n");
      if (status) writeFileSync(files.status, "script=7 client=7 bytes=4 signal=none began=1 ended=2\n");
    };

    test("has the end that its files tell, though nobody answers", async () => {
      started(true);
      const end = await runBatchJob(submission(), toolsFor(scripted({ ...lost, squeue: ofNobody })));
      assert.deepEqual([end.id, end.status?.script], ["17", 7]);
    });

    test("is believed to have ended only when the scheduler has said that it is the one", async () => {
      started(false);
      const ours = answer(0, `17|alice|${name}\n`);
      const ended = answer(0, "17|FAILED|N/A|n1|NonZeroExitCode\n");
      const squeue = [ofNobody, ofNobody, ofNobody, ours, ended];
      const calls = scripted({ ...lost, squeue, scontrol: answer(1, "") });
      const end = await runBatchJob(submission(), toolsFor(calls));
      assert.equal(end.state?.end, "failed");
    });

    test("is ended by its name alone as long as that is not certain", async () => {
      started(false);
      setTimeout(() => stop.abort(), 500);
      const squeue = [ofNobody, ofNobody, ofNobody, ofNobody, none];
      const calls = scripted({ ...lost, squeue });
      const end = await runBatchJob(submission(), toolsFor(calls));
      assert.equal(end.stopped, true);
      assert.deepEqual(
        calls.made.filter((line) => line.startsWith("scancel")),
        [],
      );
      assert.match(calls.made.at(-1) ?? "", /^squeue .*--name=jacamar-ci-7-ab/);
    });
  });

  test("takes the job back when the stage was told to end before its number was known", async () => {
    const calls = scripted({ sbatch: answer(0, "4\n"), squeue: none, scancel: none });
    const call: ScriptedCalls["call"] = (argv) => {
      if (argv[0] === "sbatch") stop.abort();
      return calls.call(argv);
    };
    const end = await runBatchJob(submission(), toolsFor({ ...calls, call }));
    assert.equal(end.stopped, true);
    assert.deepEqual(
      calls.argv.map(([program]) => program),
      ["sbatch", "scancel", "squeue"],
    );
  });
});

describe("awaitStart()", () => {
  const wait = (calls: ScriptedCalls, more: Partial<BatchTools> = {}) =>
    awaitStart(toId("4"), name, toolsFor(calls, more));

  test("tells what the job waits for, until it runs", async () => {
    await wait(scripted({ squeue: [row("PENDING", "Priority"), row("RUNNING")] }));
    assert.deepEqual(log, [
      "Slurm job 4 waits in the queue: Priority",
      "Slurm job 4 has started on n1 after 2s in the queue",
    ]);
  });

  test("fails when the job has ended, once that is certain", async () => {
    const calls = scripted({ squeue: row("CANCELLED"), scontrol: answer(1, "") });
    await assert.rejects(wait(calls), { code: "batch_ended", message: /has ended before it began: CANCELLED/ });
    assert.equal(calls.argv.filter(([program]) => program === "squeue").length, 2);
  });

  test("takes the job back when it waits too long", async () => {
    const patience = { askMilliseconds: 1000, filesMilliseconds: 200, queueMilliseconds: 100 };
    const calls = scripted({ squeue: none, scancel: none });
    await assert.rejects(wait(calls, { patience }), { code: "queue_timeout" });
    assert.match(calls.made[0] ?? "", /^scancel 4$/);
  });

  test("takes the job back when the stage is to end", async () => {
    const calls = scripted({ squeue: none, scancel: none });
    stop.abort();
    await wait(calls);
    assert.deepEqual(
      calls.argv.map(([program]) => program),
      ["scancel", "squeue"],
    );
  });
});
