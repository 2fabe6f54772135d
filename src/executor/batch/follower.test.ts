import assert from "node:assert/strict";
import { appendFileSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Follower } from "./follower.ts";
import type { BatchTools, Handle } from "./following.ts";
import type { QueueState } from "./scheduler.ts";
import { slurm } from "./slurm.ts";
import { makeJobFiles } from "./testing/job-files.ts";
import { toId as id } from "./testing/recorded.ts";

/** The job file and the scheduler are played by the test; the files are real. */
describe("Follower", () => {
  let files: ReturnType<typeof makeJobFiles>;
  let log: string;
  let stop: AbortController;
  let called: string[];

  beforeEach(() => {
    files = makeJobFiles();
    log = "";
    stop = new AbortController();
    called = [];
  });
  afterEach(() => files.remove());

  const running: QueueState = { kind: "running", nodes: "n1" };
  const ended: QueueState = { kind: "ended", end: "node-failure", said: "NODE_FAIL" };

  interface Play {
    readonly ask?: (count: number) => QueueState;
    readonly terminate?: () => void | Promise<void>;
    readonly end?: () => void;
    readonly onOutput?: (text: string) => void;
    readonly queueMilliseconds?: number;
    readonly killTimeoutSeconds?: number;
  }

  function follow({
    ask = () => running,
    terminate,
    end,
    onOutput,
    queueMilliseconds,
    killTimeoutSeconds = 5,
  }: Play = {}) {
    let count = 0;
    const handle: Handle = {
      id: id("4"),
      title: "Job 4",
      ask: () => {
        count += 1;
        return Promise.resolve(ask(count));
      },
      terminate: () => {
        called.push("terminate");
        return Promise.resolve(terminate?.());
      },
      end: (onLook) => {
        called.push("end");
        end?.();
        onLook();
        return Promise.resolve();
      },
    };
    const tools: BatchTools = {
      scheduler: slurm,
      call: () => assert.fail("nobody is to be called"),
      board: undefined,
      files,
      userName: "alice",
      patience: { askMilliseconds: 1000, filesMilliseconds: 300, queueMilliseconds },
      killTimeoutSeconds,
      say: (line) => {
        log += `[${line}]\n`;
      },
      sink: (chunk) => {
        const text = Buffer.from(chunk).toString();
        log += text;
        onOutput?.(text);
      },
      stop: stop.signal,
    };
    return new Follower(handle, tools).follow();
  }

  const begin = (began = 1) => writeFileSync(files.started, `${began} n1\n`);
  const print = (text: string) => appendFileSync(files.output, text);
  const leave = (script: number | "none", bytes: number, signal = "none") =>
    writeFileSync(files.status, `script=${script} client=${script} bytes=${bytes} signal=${signal} began=1 ended=2\n`);
  const later = (milliseconds: number, play: () => void) => void setTimeout(play, milliseconds);

  test("shows what a job prints as it comes, and ends with its status, asking nobody", async () => {
    later(50, begin);
    later(100, () => print("one\n"));
    later(200, () => print("two"));
    later(300, () => leave(7, 7));
    const end = await follow({ ask: () => assert.fail("asked") });
    assert.equal(log, "[Job 4 has started on n1 after 0s in the queue]\none\ntwo");
    assert.equal(end.status?.script, 7);
    assert.deepEqual([end.stopped, end.state, end.nodes, end.title], [false, undefined, "n1", "Job 4"]);
  });

  test("shows what a job prints in its end, and ends it, though the program that tells it to hangs", async () => {
    begin();
    later(300, () => stop.abort());
    later(600, () => print("last words\n"));
    const terminate = () => new Promise<void>(() => undefined);
    const onOutput = (text: string) => called.push(text);
    const end = await follow({ terminate, onOutput, killTimeoutSeconds: 1 });
    assert.equal(end.stopped, true);
    assert.deepEqual(called, ["terminate", "last words\n", "end"]);
  });

  test("finds the end of a job that was over before it looked", async () => {
    begin();
    print("all\n");
    leave(0, 4);
    assert.equal((await follow()).status?.script, 0);
    assert.match(log, /\nall\n$/);
  });

  test("waits for the bytes that the status promises", async () => {
    begin();
    print("one\n");
    leave(0, 12);
    later(150, () => print("two\n"));
    later(400, () => print("333\n"));
    later(401, () => print("not promised\n"));
    await follow();
    assert.match(log, /\none\ntwo\n333\n/);
    assert.doesNotMatch(log, /WARNING/);
  });

  test("says how many bytes never came, and does not wait for ever", async () => {
    begin();
    print("one\n");
    leave(0, 12);
    await follow();
    assert.match(log, /one\n\[WARNING: 8 bytes of the job's output did not appear in time\]\n$/);
  });

  test("sets a line of its own apart from one of the script that has no end", async () => {
    begin();
    print("no end");
    later(100, () => writeFileSync(files.output, ""));
    later(300, () => leave(0, 0));
    await follow();
    assert.match(log, /no end\n\[WARNING: The output file of the job was emptied/);
  });

  test("ends a running job gently on a signal, by force in the end, and shows what it then prints", async () => {
    begin();
    print("up\n");
    const terminate = () => {
      assert.ok(existsSync(files.stopping));
      print("told\n");
      leave(143, 8, "TERM");
    };
    later(150, () => stop.abort());
    const end = await follow({ terminate });
    assert.deepEqual(called, ["terminate", "end"]);
    assert.equal(end.stopped, true);
    assert.match(log, /up\ntold\n$/);
  });

  test("ends one by force that does not heed it, and shows its last words", async () => {
    begin();
    later(50, () => stop.abort());
    const end = await follow({ killTimeoutSeconds: 0.2, end: () => print("last\n") });
    assert.deepEqual(called, ["terminate", "end"]);
    assert.deepEqual([end.stopped, end.status], [true, undefined]);
    assert.match(log, /last\n$/);
  });

  test("ends a running job also where it cannot say how long it may take, as on a full disk", async () => {
    begin();
    files = { ...files, stopping: `${files.directory}/nowhere/stopping` };
    later(50, () => stop.abort());
    const end = await follow({ terminate: () => leave(143, 0, "TERM") });
    assert.deepEqual([end.stopped, end.status?.script, called], [true, 143, ["terminate", "end"]]);
  });

  test("takes one that still waits out of the queue", async () => {
    later(50, () => stop.abort());
    assert.equal((await follow()).stopped, true);
    assert.deepEqual(called, ["end"]);
  });

  test("hears a signal however fast the script prints", async () => {
    begin();
    print("x".repeat(5_000_000));
    let bytes = 0;
    const onOutput = (text: string) => {
      bytes += text.length;
      // Always faster than the reader.
      if (!stop.signal.aborted) print("x".repeat(text.length));
      if (bytes > 200_000_000) assert.fail("it reads for ever");
    };
    later(20, () => stop.abort());
    assert.equal((await follow({ onOutput, killTimeoutSeconds: 0.2 })).stopped, true);
  });

  test("believes the scheduler's word for an end only the second time, and says what it was", async () => {
    begin();
    print("up\n");
    later(1200, () => print("late\n"));
    const end = await follow({ ask: () => ended });
    assert.deepEqual([end.status, end.state?.said], [undefined, "NODE_FAIL"]);
    assert.match(log, /up\nlate\n$/);
    assert.deepEqual(called, []);
  });

  test("goes on when the scheduler has taken an end back, or does not answer", async () => {
    begin();
    later(2500, () => leave(0, 0));
    const ask = (count: number): QueueState => {
      if (count === 1) return ended;
      if (count === 2) throw new Error("no squeue");
      return running;
    };
    const end = await follow({ ask });
    assert.deepEqual([end.status?.script, end.state], [0, undefined]);
  });

  test("asks the scheduler why a script was killed", async () => {
    begin();
    leave(137, 0);
    const ask = (count: number): QueueState =>
      count < 2 ? running : { kind: "ended", end: "memory-limit", said: "OUT_OF_MEMORY" };
    const end = await follow({ ask });
    assert.deepEqual([end.status?.script, end.state?.end], [137, "memory-limit"]);
  });

  test("follows a requeued job to the end of its second start", async () => {
    begin(1);
    print("first\n");
    leave(143, 6, "TERM");
    later(400, () => {
      begin(2);
      print("second\n");
    });
    later(600, () => leave(0, 13));
    const end = await follow({ ask: () => ({ kind: "pending", reason: "BeginTime" }) });
    assert.equal(end.status?.script, 0);
    assert.match(log, /first\n.*Job 4 was requeued, and has started again on n1\]\nsecond\n$/s);
  });

  test("follows a requeued job on that has begun again before the scheduler was asked", async () => {
    begin(1);
    print("first\n");
    leave(143, 6, "TERM");
    // The job file removes the status of the start before.
    later(200, () => {
      rmSync(files.status);
      begin(2);
      print("second\n");
    });
    later(1200, () => leave(0, 13));
    const end = await follow({ ask: () => running });
    assert.equal(end.status?.script, 0);
    assert.match(log, /first\n.*Job 4 was requeued, and has started again on n1\]\nsecond\n$/s);
  });

  test("takes a job back that waits too long", async () => {
    await assert.rejects(follow({ queueMilliseconds: 200, ask: () => ({ kind: "pending", reason: "Priority" }) }), {
      code: "queue_timeout",
      blame: "site",
      message: /Job 4 waited longer than 0s in the queue, and was taken back/,
    });
    assert.deepEqual(called, ["end"]);
  });
});
