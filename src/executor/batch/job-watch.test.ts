import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatDuration, JobWatch, type Patience } from "./job-watch.ts";
import type { QueueState } from "./scheduler.ts";

/** A scheduler's answer, what a job file says of its start, or time that passes. */
type Event = QueueState | { readonly kind: "begun"; readonly began: number; readonly nodes: string } | "look";

/** At that second since the job was submitted something happens; the log is told these lines, and this is clear then. */
type Row = [seconds: number, event: Event, lines?: readonly string[], verdict?: string];

const patience: Patience = { askMilliseconds: 30_000, filesMilliseconds: 10_000, queueMilliseconds: undefined };

const pending = (reason?: string, more: { estimatedStart?: string; position?: number } = {}): QueueState => ({
  kind: "pending",
  reason,
  ...more,
});
const running: QueueState = { kind: "running", nodes: "n1" };
const unknown = (said: string): QueueState => ({ kind: "unknown", said });
const ended: QueueState = { kind: "ended", end: "cancelled", said: "CANCELLED" };
const begun = (began: number, nodes = "n1"): Event => ({ kind: "begun", began, nodes });

const away = "Nobody knows what Job 4 does: cannot connect. The runner goes on waiting for its exit status";

describe("JobWatch", () => {
  const table: [what: string, rows: readonly Row[], given?: Partial<Patience>][] = [
    [
      "tells why a job waits, and again when that changes, and nothing when it does not",
      [
        [1, pending("Resources"), ["Job 4 waits in the queue: Resources"]],
        [2, pending("Resources")],
        [4, pending("Priority"), ["Job 4 waits in the queue: Priority"]],
        [8, pending("Priority", { position: 3 }), ["Job 4 waits in the queue: Priority, position 3"]],
        [
          16,
          pending("Priority", { position: 3, estimatedStart: "2026-11-25T16:07:44" }),
          ["Job 4 waits in the queue: Priority, position 3, estimated start 2026-11-25T16:07:44"],
        ],
        [20, pending(), ["Job 4 waits in the queue"]],
        [67, begun(1), ["Job 4 has started on n1 after 1m07s in the queue"]],
        [68, running],
      ],
    ],
    [
      "tells now and then that it still waits",
      [
        [1, pending("Priority"), ["Job 4 waits in the queue: Priority"]],
        [200, pending("Priority")],
        [301, pending("Priority"), ["Job 4 still waits in the queue: Priority, since 5m01s"]],
        [302, pending("Priority")],
        [600, pending("Priority")],
        [601, pending("Priority"), ["Job 4 still waits in the queue: Priority, since 10m01s"]],
      ],
    ],
    [
      "tells a start once, by whoever says it first",
      [
        [3, running, ["Job 4 has started on n1 after 3s in the queue"]],
        [4, begun(1)],
        [5, begun(1)],
        [6, running],
      ],
    ],
    [
      "tells a start without nodes where nobody names them",
      [[3, begun(1, ""), ["Job 4 has started after 3s in the queue"]]],
    ],
    [
      "does not tell a start again after the scheduler was away",
      [
        [3, running, ["Job 4 has started on n1 after 3s in the queue"]],
        [4, unknown("cannot connect")],
        [40, unknown("cannot connect"), [away]],
        [41, begun(1)],
        [42, running],
      ],
    ],
    [
      "says at once that nobody knows anything of a job of which nothing was ever said",
      [
        [1, unknown("first\ncannot connect"), [away]],
        [2, unknown("cannot connect")],
        [100, unknown("cannot connect")],
        [302, unknown("cannot connect"), [away]],
      ],
    ],
    [
      "bears with a scheduler that is away for a moment, and tells what it then says only when that is new",
      [
        [1, pending("Priority"), ["Job 4 waits in the queue: Priority"]],
        [2, unknown("cannot connect")],
        [31, unknown("cannot connect")],
        [33, pending("Priority")],
        [34, unknown("cannot connect")],
        [60, unknown("cannot connect")],
        [64, unknown("cannot connect"), [away]],
        [65, pending("Priority"), ["Job 4 waits in the queue: Priority"]],
      ],
    ],
    [
      "never takes a scheduler that does not know for an end",
      [
        [
          1,
          unknown("Slurm does not know the job 4 any more"),
          [away.replace("cannot connect", "Slurm does not know the job 4 any more")],
        ],
        [
          100_000,
          unknown("Slurm does not know the job 4 any more"),
          [away.replace("cannot connect", "Slurm does not know the job 4 any more")],
        ],
      ],
    ],
    [
      "takes an end for one when it is said again after the exit status had its time",
      [
        [3, begun(1), ["Job 4 has started on n1 after 3s in the queue"]],
        [33, ended],
        [35, ended],
        [42, ended],
        [44, ended, [], "ended CANCELLED"],
      ],
    ],
    [
      "does not let a scheduler that is away confirm an end, nor undo it",
      [
        [33, ended],
        [44, unknown("cannot connect"), [away]],
        [60, ended, [], "ended CANCELLED"],
      ],
    ],
    [
      "forgets an end that the scheduler takes back",
      [
        [3, running, ["Job 4 has started on n1 after 3s in the queue"]],
        [33, ended],
        [44, running],
        [60, ended],
        [71, ended, [], "ended CANCELLED"],
      ],
    ],
    [
      "forgets an end when the job file starts anew",
      [
        [3, begun(1), ["Job 4 has started on n1 after 3s in the queue"]],
        [33, ended],
        [40, begun(2), ["Job 4 was requeued, and has started again on n1"]],
        [44, ended],
        [50, ended],
        [54, ended, [], "ended CANCELLED"],
      ],
    ],
    [
      "follows a requeued job on, and counts its waiting anew",
      [
        [3, begun(1), ["Job 4 has started on n1 after 3s in the queue"]],
        [50, pending("BeginTime")],
        [51, pending("BeginTime"), ["Job 4 was requeued and waits again: BeginTime"]],
        [52, pending("BeginTime")],
        [60, pending("Priority"), ["Job 4 waits in the queue: Priority"]],
        [111, begun(60, "n2"), ["Job 4 was requeued, and has started again on n2"]],
        [112, running],
        [200, pending("BeginTime")],
        [201, pending("BeginTime"), ["Job 4 was requeued and waits again: BeginTime"]],
        [211, running, ["Job 4 has started on n1 after 10s in the queue"]],
      ],
    ],
    [
      "takes no answer to an old question for a requeue",
      [
        [3, begun(1), ["Job 4 has started on n1 after 3s in the queue"]],
        [4, pending("Priority")],
        [5, running],
        [6, pending("Priority")],
        [7, running],
      ],
    ],
    [
      "ends a wait that is longer than the administrator allows, and only a wait",
      [
        [1, pending("Priority"), ["Job 4 waits in the queue: Priority"]],
        [60, "look"],
        [60.1, "look", [], "queue-timeout 60"],
      ],
      { queueMilliseconds: 60_000 },
    ],
    [
      "lets a job that began in time run on",
      [
        [59, begun(1), ["Job 4 has started on n1 after 59s in the queue"]],
        [4000, "look"],
        [4001, pending("BeginTime")],
        [4002, pending("BeginTime"), ["Job 4 was requeued and waits again: BeginTime"]],
        [4061, "look"],
        [4063, "look", [], "queue-timeout 60"],
      ],
      { queueMilliseconds: 60_000 },
    ],
    [
      "counts a wait of which the scheduler says nothing",
      [
        [1, unknown("cannot connect"), [away]],
        [61, "look", [], "queue-timeout 60"],
      ],
      { queueMilliseconds: 60_000 },
    ],
  ];
  for (const [what, rows, given] of table) {
    test(what, () => {
      const start = 5000;
      const watch = new JobWatch("Job 4", { ...patience, ...given }, start);
      for (const [seconds, event, lines = [], verdict] of rows) {
        const now = start + seconds * 1000;
        assert.deepEqual(happen(watch, event, now), lines, `at ${seconds} s`);
        assert.equal(verdictOf(watch, now), verdict, `at ${seconds} s`);
      }
    });
  }
});

describe("JobWatch's questions", () => {
  test("grow rarer up to the longest interval while the job waits", () => {
    const watch = new JobWatch("Job 4", patience, 0);
    const asked: number[] = [];
    while (asked.length < 8) {
      const now = watch.askAt;
      asked.push(now / 1000);
      watch.answered(pending("Priority"), now);
    }
    assert.deepEqual(asked, [1, 3, 7, 15, 31, 61, 91, 121]);
  });

  test("take an answer that is nearly as old as the interval, and only a new one where it decides", () => {
    const watch = new JobWatch("Job 4", patience, 0);
    watch.answered(pending("Priority"), 1000);
    assert.equal(watch.oldestAnswerMilliseconds, 1800);
    watch.begun({ beganSeconds: 1, nodes: "n1" }, 2000);
    assert.equal(watch.oldestAnswerMilliseconds, 27_000);
    watch.answered(pending("Priority"), 32_000);
    assert.equal(watch.oldestAnswerMilliseconds, 0);
    watch.answered(running, 33_000);
    assert.equal(watch.oldestAnswerMilliseconds, 27_000);
    watch.answered(ended, 63_000);
    assert.equal(watch.oldestAnswerMilliseconds, 0);
  });

  test("are put off by output, but not when an end or a requeue is to be confirmed", () => {
    const watch = new JobWatch("Job 4", patience, 0);
    watch.begun({ beganSeconds: 1, nodes: "n1" }, 2000);
    watch.printed(20_000);
    assert.equal(watch.askAt, 50_000);
    watch.answered(ended, 50_000);
    assert.equal(watch.askAt, 60_000);
    watch.printed(55_000);
    assert.equal(watch.askAt, 60_000);
    watch.answered(running, 60_000);
    watch.answered(pending("BeginTime"), 90_000);
    watch.printed(90_500);
    assert.equal(watch.askAt, 91_000);
  });

  test("are frequent again when a requeued job waits", () => {
    const watch = new JobWatch("Job 4", patience, 0);
    watch.answered(running, 1000);
    watch.answered(pending("BeginTime"), 31_000);
    watch.answered(pending("BeginTime"), 32_000);
    assert.equal(watch.askAt, 33_000);
  });
});

describe("JobWatch's facts", () => {
  test("are the time in the queue and the nodes", () => {
    const watch = new JobWatch("Job 4", patience, 1000);
    assert.deepEqual([watch.running, watch.queueMilliseconds, watch.nodes], [false, undefined, undefined]);
    watch.begun({ beganSeconds: 1, nodes: "n1" }, 6000);
    assert.deepEqual([watch.running, watch.queueMilliseconds, watch.nodes], [true, 5000, "n1"]);
  });

  test("count each wait of a requeued job, but not what it ran between", () => {
    const watch = new JobWatch("Job 4", patience, 0);
    watch.begun({ beganSeconds: 1, nodes: "n1" }, 5000);
    watch.answered(pending("BeginTime"), 60_000);
    watch.answered(pending("BeginTime"), 61_000);
    assert.equal(watch.running, false);
    watch.begun({ beganSeconds: 2, nodes: "n2" }, 71_000);
    assert.deepEqual([watch.running, watch.queueMilliseconds, watch.nodes], [true, 15_000, "n2"]);
  });
});

test("formatDuration() is for people", () => {
  const table: Record<string, number> = {
    "0s": -5,
    "1s": 1499,
    "59s": 59_400,
    "1m00s": 59_500,
    "3m12s": 192_000,
    "59m59s": 3_599_000,
    "1h00m": 3_600_000,
    "2h05m": 7_529_000,
    "51h00m": 183_600_000,
  };
  for (const [text, milliseconds] of Object.entries(table)) assert.equal(formatDuration(milliseconds), text);
});

function happen(watch: JobWatch, event: Event, now: number): string[] {
  if (event === "look") return [];
  if (event.kind !== "begun") return watch.answered(event, now);
  return watch.begun({ beganSeconds: event.began, nodes: event.nodes }, now);
}

function verdictOf(watch: JobWatch, now: number): string | undefined {
  const verdict = watch.verdict(now);
  if (verdict === undefined) return undefined;
  return verdict.kind === "ended" ? `ended ${verdict.state.said}` : `${verdict.kind} ${verdict.seconds}`;
}
