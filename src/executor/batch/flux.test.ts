import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { flux, readFluxSubmission } from "./flux.ts";
import { localTime } from "./local-time.ts";
import { findOwn } from "./own-arguments.ts";
import type { QueueState } from "./scheduler.ts";
import { recorded, toId } from "./testing/recorded.ts";

/** A record as Flux 0.88 printed it, with changes. */
function record(changes: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return {
    t_depend: 1795624637.9,
    t_run: 0,
    duration: 0,
    name: "jacamar-ci-1-a",
    queue: "batch",
    ntasks: 1,
    nnodes: "",
    priority: 16,
    nodelist: "",
    success: "",
    result: "",
    waitstatus: "",
    id: 132858773504,
    state: "SCHED",
    urgency: 16,
    status: "SCHED",
    returncode: "",
    dependencies: [],
    jobid: "ƒCUfSXq",
    annotations: {},
    exception: { occurred: "", severity: "", type: "", note: "" },
    ...changes,
  };
}

describe("flux.submit()", () => {
  const submission = { name: "jacamar-ci-1-a", jobFile: "/x/job", logFile: "/x/log", userArguments: [] };

  test("asks for one slot where the user asks for nothing", async () => {
    const { call, calls } = recorded({ stdout: "ƒCUfSXq\n" });
    assert.deepEqual(await flux.submit(submission, call), { kind: "accepted", id: "ƒCUfSXq" });
    assert.deepEqual(calls, [
      ["flux", "batch", "--nslots=1", "--job-name=jacamar-ci-1-a", "--output=/x/log", "/x/job"],
    ]);
  });

  for (const userArguments of [
    ["-n4"],
    ["-n", "4"],
    ["--nslots=4"],
    ["-N2"],
    ["-xN2"],
    ["--nodes", "2"],
    ["-q", "x", "-n2"],
  ]) {
    test(`leaves the size to the user, who gives ${userArguments.join(" ")}`, async () => {
      const { call, calls } = recorded({ stdout: "fCUfSXq\n" });
      await flux.submit({ ...submission, userArguments }, call);
      assert.deepEqual(calls[0]?.slice(2, 2 + userArguments.length), userArguments);
      assert.ok(!calls[0]?.includes("--nslots=1"));
    });
  }
});

describe("readFluxSubmission()", () => {
  const table: [what: string, answer: Parameters<typeof readFluxSubmission>[0], kind: string][] = [
    ["an id", { exitCode: 0, stdout: "ƒCUfSXq\n", stderr: "" }, "accepted"],
    ["an id in ASCII", { exitCode: 0, stdout: "fCUfSXq\n", stderr: "" }, "accepted"],
    ["an id after a warning", { exitCode: 0, stdout: "note\nƒCUfSXq\n", stderr: "" }, "accepted"],
    ["half an id", { exitCode: 0, stdout: "ƒCUf", stderr: "" }, "unanswered"],
    ["nothing", { exitCode: 0, stdout: "", stderr: "" }, "unanswered"],
    ["no answer in time", { exitCode: undefined, stdout: "", stderr: "" }, "unanswered"],
    [
      "a wrong queue",
      { exitCode: 1, stdout: "", stderr: "flux-batch: ERROR: Invalid queue 'nope' specified\n" },
      "refused",
    ],
    [
      "a wrong option",
      { exitCode: 2, stdout: "", stderr: "flux-batch: error: unrecognized arguments: --bogus\n" },
      "refused",
    ],
    [
      "an instance that is away",
      {
        exitCode: 1,
        stdout: "",
        stderr: "flux-batch: ERROR: Unable to connect to Flux: broker socket /run/flux/local was not found\n",
      },
      "unanswered",
    ],
  ];
  for (const [what, answer, kind] of table) {
    test(`takes ${what} for ${kind}`, () => assert.equal(readFluxSubmission(answer).kind, kind));
  }
});

describe("flux.ask()", () => {
  async function state(changes: Readonly<Record<string, unknown>>): Promise<QueueState | undefined> {
    const { call } = recorded({ stdout: JSON.stringify(record(changes)) });
    return (await flux.ask([toId("ƒCUfSXq")], call)).get(toId("ƒCUfSXq"));
  }

  const table: [changes: Readonly<Record<string, unknown>>, state: QueueState][] = [
    [{}, { kind: "pending", reason: undefined, estimatedStart: undefined }],
    [
      { urgency: 0, priority: 0 },
      { kind: "pending", reason: "held", estimatedStart: undefined },
    ],
    [{ state: "PRIORITY" }, { kind: "pending", reason: "priority-wait", estimatedStart: undefined }],
    [
      { state: "DEPEND", dependencies: ["after-finish=1"] },
      { kind: "pending", reason: "depends on after-finish=1", estimatedStart: undefined },
    ],
    [
      { annotations: { sched: { t_estimate: 1795624637, reason_pending: "no cores" } } },
      { kind: "pending", reason: "no cores", estimatedStart: localTime(new Date(1795624637000)) },
    ],
    [
      { state: "RUN", nodelist: "n[1-2]" },
      { kind: "running", nodes: "n[1-2]" },
    ],
    [
      { state: "CLEANUP", nodelist: "n1" },
      { kind: "running", nodes: "n1" },
    ],
    [
      { state: "INACTIVE", result: "COMPLETED", returncode: 0 },
      { kind: "ended", end: "completed", said: "COMPLETED", exitCode: 0 },
    ],
    [
      { state: "INACTIVE", result: "FAILED", returncode: 7 },
      { kind: "ended", end: "failed", said: "FAILED", exitCode: 7 },
    ],
    [
      { state: "INACTIVE", result: "FAILED", returncode: -9 },
      { kind: "ended", end: "failed", said: "FAILED", exitCode: 137 },
    ],
    [
      { state: "INACTIVE", result: "CANCELED", returncode: -128, exception: { type: "cancel", note: "" } },
      { kind: "ended", end: "cancelled", said: "CANCELED (cancel)", exitCode: undefined },
    ],
    [
      {
        state: "INACTIVE",
        result: "TIMEOUT",
        returncode: 142,
        exception: { type: "timeout", note: "resource allocation expired" },
      },
      {
        kind: "ended",
        end: "time-limit",
        said: "TIMEOUT (timeout: resource allocation expired)",
        exitCode: 142,
      },
    ],
    [
      { state: "INACTIVE", result: "FAILED", returncode: 1, exception: { type: "node-failure", note: "n1" } },
      { kind: "ended", end: "node-failure", said: "FAILED (node-failure: n1)", exitCode: 1 },
    ],
    [{ state: "NEW" }, { kind: "unknown", said: "Flux says that the job is in the state NEW" }],
  ];
  for (const [changes, expected] of table) {
    test(`reads ${JSON.stringify(changes)}`, async () => assert.deepEqual(await state(changes), expected));
  }

  test("asks for all in one call, and takes both spellings of an id for one", async () => {
    const jobs = [record({ jobid: "ƒAbc", state: "RUN" }), record({ jobid: "ƒDef" })];
    const { call, calls } = recorded({ stdout: JSON.stringify({ jobs }), stderr: "JobID ƒXyz unknown\n" });
    const states = await flux.ask([toId("fAbc"), toId("ƒDef"), toId("ƒXyz")], call);
    assert.equal(calls.length, 1);
    assert.deepEqual(
      [...states.values()].map(({ kind }) => kind),
      ["running", "pending", "unknown"],
    );
  });

  const silence: [what: string, answer: { exitCode?: number | undefined; stdout?: string; stderr?: string }][] = [
    ["an instance that is away", { exitCode: 1, stderr: "flux-jobs: ERROR: Unable to connect to Flux" }],
    ["an unknown job", { exitCode: 1, stderr: "JobID ƒCUfSXq unknown" }],
    ["half an answer", { stdout: JSON.stringify(record({ state: "INACTIVE", result: "FAILED" })).slice(0, 200) }],
    ["nonsense", { stdout: "\u0000{[<|" }],
    ["a record of another form", { stdout: JSON.stringify({ jobid: "ƒCUfSXq", state: 7 }) }],
    ["no answer in time", { exitCode: undefined }],
  ];
  for (const [what, answer] of silence) {
    test(`takes ${what} for no end`, async () => {
      const { call } = recorded(answer);
      assert.equal((await flux.ask([toId("ƒCUfSXq")], call)).get(toId("ƒCUfSXq"))?.kind, "unknown");
    });
  }
});

describe("flux.find()", () => {
  test("finds the jobs of exactly that name", async () => {
    const jobs = [record({ jobid: "ƒAbc" }), record({ jobid: "ƒDef", name: "other" })];
    const { call } = recorded({ stdout: JSON.stringify({ jobs }) });
    assert.deepEqual(await flux.find("jacamar-ci-1-a", "alice", call), ["ƒAbc"]);
  });

  test("knows nothing where Flux says nothing", async () => {
    assert.equal(await flux.find("x", "alice", recorded({ exitCode: 1 }).call), undefined);
    assert.equal(await flux.find("x", "alice", recorded({ stdout: "{half" }).call), undefined);
    assert.deepEqual(await flux.find("x", "alice", recorded({ stdout: '{"jobs":[]}' }).call), []);
  });
});

describe("flux.steps", () => {
  test("finds a step in the user's instances, and ends it there", async () => {
    const inner = { jobid: "ƒDef", name: "step" };
    const jobs = [record({ jobid: "ƒAbc", state: "RUN", jobs: [inner] }), record({ jobid: "ƒGhj" })];
    const { call, calls } = recorded({ stdout: JSON.stringify({ jobs }) }, {});
    const found = await flux.steps?.find("step", "alice", call);
    assert.deepEqual(found, ["ƒAbc/ƒDef"]);
    await flux.steps?.cancel(toId("ƒAbc/ƒDef"), call);
    assert.deepEqual(calls[1], ["flux", "proxy", "ƒAbc", "flux", "cancel", "ƒDef"]);
  });
});

describe("what users may not give to Flux", () => {
  const refused = [
    ["--job-name=x"],
    ["--job-na=x"],
    ["--output", "x"],
    ["--out=x"],
    ["--error=x"],
    ["--err=x"],
    ["--input=x"],
    ["--wrap"],
    ["--dry-run"],
    ["--quiet"],
    ["-h"],
    ["-N2", "script"],
    ["--", "script"],
  ];
  for (const line of refused) {
    test(`${line.join(" ")} is refused`, () => assert.ok(findOwn(line, flux.ownArguments)));
  }

  const free = [
    ["-N2", "-n", "4", "-c2", "-g", "1", "-x"],
    ["-q", "debug", "-t", "10m"],
    ["--queue=debug", "--time-limit", "1h", "--exclusive", "--nodes=2"],
    ["-o", "output.mode=append", "--setattr=a=b", "-S", "x=y"],
    ["--bank", "proj", "--requires=host:a", "--env=-*", "--urgency=0", "--unbuffered"],
  ];
  for (const line of free) {
    test(`${line.join(" ")} is the user's`, () => assert.equal(findOwn(line, flux.ownArguments), undefined));
  }
});
