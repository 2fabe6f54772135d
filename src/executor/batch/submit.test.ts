import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Answer } from "./scheduler.ts";
import { slurm } from "./slurm.ts";
import { submitJob, type Taken } from "./submit.ts";
import { type ScriptedCalls, scripted } from "./testing/scripted-calls.ts";

const submission = {
  name: "jacamar-ci-7-ab",
  jobFile: "/d/build.job",
  logFile: "/d/build.log",
  userArguments: ["-n1"],
};
const answer = (exitCode: number | undefined, stdout: string, stderr = ""): Answer => ({ exitCode, stdout, stderr });
const frozen = answer(1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n");
const noAccounting = answer(1, "", "Slurm accounting storage is disabled\n");
const noQueue = answer(1, "", "slurm_load_jobs error: Socket timed out on send/recv operation\n");

let log: string[];
/** What the job has left of itself, and what jobs before it have. */
let own: string | undefined;
let earlier: string[];
/** After how many calls the doubt began, and that it ended. */
let doubts: (number | "ended")[];
let stop: AbortController;
let now: number;

beforeEach(() => {
  log = [];
  own = undefined;
  earlier = [];
  doubts = [];
  stop = new AbortController();
  now = 0;
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(performance, "now", () => now);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** Submits, while time goes by: half a second whenever nothing else is to be done. */
async function submit(calls: ScriptedCalls, onTick: () => void = () => undefined): Promise<string> {
  const taken = await take(calls, onTick);
  assert.equal(taken.sure, true);
  return taken.id;
}

async function take(calls: ScriptedCalls, onTick: () => void = () => undefined): Promise<Taken> {
  const { call } = calls;
  const tools = { scheduler: slurm, call, userName: "alice", say: (line: string) => log.push(line), stop: stop.signal };
  const over = new AbortController();
  const doubt = { begins: () => doubts.push(calls.made.length), ends: () => doubts.push("ended") };
  const traces = { own: () => own, earlier: () => earlier };
  const submitted = submitJob(submission, tools, traces, doubt).finally(() => over.abort());
  // Whoever waits for it gets it.
  submitted.catch(() => undefined);
  while (!over.signal.aborted) {
    await setImmediate();
    now += 500;
    mock.timers.tick(500);
    onTick();
  }
  return submitted;
}

describe("submitJob()", () => {
  test("has the id of a job that was accepted, by one call", async () => {
    const calls = scripted({ sbatch: answer(0, "4\n") });
    assert.equal(await submit(calls), "4");
    assert.equal(calls.made.length, 1);
    assert.deepEqual(doubts, []);
  });

  test("shows a refusal in the scheduler's own words, as the job's fault, and submits no second time", async () => {
    const calls = scripted({
      sbatch: answer(
        1,
        "",
        "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed\n",
      ),
    });
    await assert.rejects(submit(calls), {
      code: "batch_refused",
      blame: "job",
      message:
        "Slurm refused the job:\nsbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed",
    });
    assert.equal(calls.made.length, 1);
  });

  for (const [what, sbatch] of [
    ["was killed after it was accepted", answer(undefined, "")],
    ["gave up while the controller was frozen", frozen],
    ["printed nothing", answer(0, "")],
  ] as const) {
    test(`finds the job by its name when the submission ${what}`, async () => {
      const calls = scripted({ sbatch, squeue: answer(0, "17\n") });
      assert.equal(await submit(calls), "17");
      assert.deepEqual(doubts, [1, "ended"]);
      assert.match(calls.made[1] ?? "", /^squeue .*--user=alice --name=jacamar-ci-7-ab /);
    });
  }

  test("finds one that the scheduler takes late, and bears with a queue that cannot be asked", async () => {
    const calls = scripted({ sbatch: frozen, squeue: [noQueue, answer(0, ""), answer(0, "17\n")] });
    assert.equal(await submit(calls), "17");
    assert.equal(calls.made.filter((line) => line.startsWith("sbatch")).length, 1);
  });

  test("looks for a minute after the scheduler has begun to answer, and says so", async () => {
    const silence = Array.from({ length: 20 }, () => noQueue);
    const nothing = Array.from({ length: 11 }, () => answer(0, ""));
    const calls = scripted({
      sbatch: frozen,
      squeue: [...silence, ...nothing, answer(0, "17\n")],
      sacct: noAccounting,
    });
    assert.equal(await submit(calls), "17");
    assert.deepEqual(log, [
      `Slurm did not say whether it has taken the job: ${frozen.stderr.trim()}. Looking for "jacamar-ci-7-ab" in the queue for 1m00s at least`,
    ]);
  });

  for (const [what, squeue, longest] of [
    ["is silent", noQueue, 5 * 60_000],
    ["has no such job", answer(0, ""), 60_000],
  ] as const) {
    test(`blames the site when the scheduler ${what} for long, and does not submit a second one`, async () => {
      const calls = scripted({ sbatch: frozen, squeue, sacct: noAccounting });
      await assert.rejects(submit(calls), {
        code: "scheduler_unavailable",
        blame: "site",
        message: /did not say whether it has taken the job: .*Socket timed out/,
      });
      assert.ok(now >= longest && now < longest + 10_000, String(now));
      assert.equal(calls.made.filter((line) => line.startsWith("sbatch")).length, 1);
    });
  }

  for (const [what, last, code] of [
    ["has no such job", answer(0, ""), "interrupted"],
    ["is silent", noQueue, "batch_left"],
  ] as const) {
    test(`looks once more when the stage is to end, and throws ${code} when the scheduler ${what}`, async () => {
      const calls = scripted({ sbatch: frozen, squeue: [noQueue, noQueue, last] });
      const stopAfter = () => {
        if (calls.made.length === 3) stop.abort();
      };
      await assert.rejects(submit(calls, stopAfter), { code });
      assert.equal(calls.made.length, 4);
      assert.ok(now < 10_000, String(now));
    });
  }

  describe("a job that has begun, and may have ended, before anybody looked", () => {
    // What the queue says of names, and then of numbers.
    const queue = (...answers: readonly Answer[]) => ({ sbatch: answer(undefined, ""), squeue: [...answers] });
    const none = answer(0, "");
    const unknown = answer(1, "", "slurm_load_jobs error: Invalid job id specified\n");

    test("is known by what it says of itself, when the scheduler says the same", async () => {
      own = "17";
      const calls = scripted(queue(none, answer(0, "17|alice|jacamar-ci-7-ab\n")));
      assert.deepEqual(await take(calls), { id: "17", sure: true });
      assert.equal(calls.made.at(-1), "squeue --noheader --states=all --jobs=17 --format=%A|%u|%j");
      assert.deepEqual(doubts, [1, "ended"]);
    });

    test("is not another job whose number it names", async () => {
      for (const row of ["17|bob|jacamar-ci-7-ab\n", "17|alice|jacamar-ci-7-abc\n", "17|alice|x|jacamar-ci-7-ab\n"]) {
        own = "17";
        now = 0;
        const calls = scripted({ sbatch: frozen, squeue: [none, answer(0, row), none], sacct: noAccounting });
        await assert.rejects(
          take(calls, () => (own = undefined)),
          { code: "scheduler_unavailable" },
        );
      }
    });

    test("is believed for what it says while nobody answers, or nobody knows any more", async () => {
      for (const calls of [queue(noQueue), { ...queue(none, unknown), sacct: noAccounting }]) {
        own = "17";
        assert.deepEqual(await take(scripted(calls)), { id: "17", sure: false });
      }
    });

    test("is known by the accounting, too", async () => {
      own = "17";
      const calls = scripted({ ...queue(none, unknown), sacct: answer(0, "alice|jacamar-ci-7-ab\n") });
      assert.deepEqual(await take(calls), { id: "17", sure: true });
    });

    test("is asked for by no number that is none", async () => {
      for (const text of ["--states=all", "17,18", "17_1", "17;other", "0", "-17", "$(id)", "17+0"]) {
        own = text;
        now = 0;
        const calls = scripted({ ...queue(none), sacct: noAccounting });
        await assert.rejects(take(calls), { code: "scheduler_unavailable" });
        assert.ok(calls.made.every((line) => !line.includes("--jobs=")));
      }
    });

    test("is found among those that have ended, when it has left nothing", async () => {
      const calls = scripted(queue(none, answer(0, "17\n")));
      assert.equal(await submit(calls), "17");
      assert.match(calls.made.at(-1) ?? "", /^squeue .*--name=jacamar-ci-7-ab --states=all /);
    });

    test("is none of the jobs of earlier steps, which have the same name", async () => {
      earlier = ["16"];
      own = "16";
      const calls = scripted(queue(answer(0, "16\n"), answer(0, "16\n"), answer(0, "16\n17\n")));
      assert.equal(await submit(calls), "17");
    });
  });

  test("has the id of a job that is found by the last look, so that the caller can end it", async () => {
    const calls = scripted({ sbatch: frozen, squeue: [noQueue, answer(0, "17\n")] });
    const stopAfter = () => {
      if (calls.made.length === 2) stop.abort();
    };
    assert.equal(await submit(calls, stopAfter), "17");
    assert.deepEqual(doubts, [1], "it is not to run");
  });

  test("submits nothing when the stage is to end already", async () => {
    stop.abort();
    const calls = scripted({});
    await assert.rejects(submit(calls), { code: "interrupted" });
  });
});
