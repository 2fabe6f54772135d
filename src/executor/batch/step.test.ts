import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { BatchTools } from "./following.ts";
import type { SchedulerId, Steps } from "./scheduler.ts";
import { shellWord } from "./shell-word.ts";
import { slurm } from "./slurm.ts";
import { endStep, runStep } from "./step.ts";
import { makeJobFiles } from "./testing/job-files.ts";
import { toId } from "./testing/recorded.ts";

const name = "jacamar-ci-7-ab";

describe("a step of an allocation", () => {
  let files: ReturnType<typeof makeJobFiles>;
  let log: string;
  let stop: AbortController;
  let called: string[];

  beforeEach(() => {
    files = makeJobFiles();
    log = "";
    called = [];
    stop = new AbortController();
  });
  afterEach(() => files.remove());

  /** Steps of which there are those, one answer a call, the last for all further ones. */
  function stepsOf(...answers: readonly (readonly SchedulerId[] | undefined)[]): Steps {
    let count = 0;
    return {
      run: () => assert.fail("it is started by its command"),
      find: () => {
        count += 1;
        return Promise.resolve(answers[Math.min(count, answers.length) - 1]);
      },
      terminate: (step) => Promise.resolve(void called.push(`terminate ${step}`)),
      cancel: (step) => Promise.resolve(void called.push(`cancel ${step}`)),
    };
  }

  function tools(): BatchTools {
    return {
      scheduler: slurm,
      call: () => assert.fail("the steps are played"),
      board: undefined,
      files,
      userName: "alice",
      patience: { askMilliseconds: 500, filesMilliseconds: 200, queueMilliseconds: undefined },
      killTimeoutSeconds: 0.3,
      say: (line) => {
        log += `[${line}]\n`;
      },
      sink: (chunk) => {
        log += Buffer.from(chunk).toString();
      },
      stop: stop.signal,
    };
  }

  /** Runs a line of shell in place of the scheduler's command. */
  function run(line: string, steps = stepsOf([])) {
    const argv = ["/bin/sh", "-c", line] as const;
    const command = { argv, environment: { PATH: "/usr/bin:/bin" }, workingDirectory: files.directory };
    return runStep({ steps, allocation: toId("40"), name, command }, tools());
  }

  const status = (code: number, bytes: number) =>
    `echo script=${code} client=${code} bytes=${bytes} signal=none began=1 ended=2 >${shellWord(files.status)}`;

  test("is followed by its files, whatever its command says", async () => {
    const end = await run(`echo 1 n1 >started; echo out >out; ${status(3, 4)}; sleep 0.3; echo noise >&2; exit 1`);
    assert.equal(end.status?.script, 3);
    assert.equal(end.title, "The step in Slurm job 40");
    assert.match(log, /\nout\n$/);
  });

  test("is over when its command has ended and no status comes; the command's words tell why", async () => {
    const end = await run("echo 'srun: error: Slurm job 40 has expired' >&2; exit 1");
    assert.deepEqual(end.state, {
      kind: "ended",
      end: "failed",
      said: "srun: error: Slurm job 40 has expired",
      exitCode: 1,
    });
  });

  test("is the site's failure when its command cannot be started", async () => {
    const command = { argv: ["/nowhere/srun"] as const, environment: {}, workingDirectory: files.directory };
    await assert.rejects(runStep({ steps: stepsOf([]), allocation: toId("40"), name, command }, tools()), {
      code: "scheduler_unavailable",
      message: /Cannot start "\/nowhere\/srun": ENOENT/,
    });
  });

  test("is told to end, then ended by force, then seen to be gone, when the stage is to end", async () => {
    const step = toId("40.2");
    setTimeout(() => stop.abort(), 300);
    const end = await run("echo 1 n1 >started; exec sleep 30", stepsOf([step], [step], []));
    assert.equal(end.stopped, true);
    assert.deepEqual(called, ["terminate 40.2", "cancel 40.2"]);
  });

  test("is ended also when its command comes to start it after the first look", async () => {
    const step = toId("40.2");
    stop.abort();
    const end = await run("exec sleep 30", stepsOf([], [step], []));
    assert.equal(end.stopped, true);
    assert.deepEqual(called, ["cancel 40.2"]);
  });

  test("is ended wherever it is found by its name, and only when the scheduler says so", async () => {
    const there = [toId("40.2"), toId("41.0")];
    const looks: number[] = [];
    const steps = stepsOf(undefined, there, there, []);
    const ended = await endStep({ steps, name }, tools(), () => looks.push(called.length));
    assert.equal(ended, 2);
    assert.deepEqual(called, ["cancel 40.2", "cancel 41.0", "cancel 40.2", "cancel 41.0"]);
    assert.deepEqual(looks, [0, 2, 4]);
  });
});
