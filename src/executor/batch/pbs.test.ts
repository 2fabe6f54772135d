import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { findOwn } from "./own-arguments.ts";
import { pbs, readPbsSubmission } from "./pbs.ts";
import type { QueueState } from "./scheduler.ts";
import { type Recording, recorded, toId } from "./testing/recorded.ts";

const id = toId("123.server");

/** What qstat of OpenPBS 23 prints for `-F json`. */
function document(jobs: Readonly<Record<string, unknown>> | undefined): string {
  const head = { timestamp: 1795624643, pbs_version: "23.06.06", pbs_server: "server" };
  return JSON.stringify(jobs === undefined ? head : { ...head, Jobs: jobs }, undefined, 4);
}

describe("pbs.submit()", () => {
  test("leaves no process behind, and lets its own arguments count", async () => {
    const { call, calls } = recorded({ stdout: "123.server\n" });
    const userArguments = ["-l", "select=1:ncpus=4", "-q", "debug"];
    const submitted = await pbs.submit({ name: "n", jobFile: "/x/job", logFile: "/x/log", userArguments }, call);
    assert.deepEqual(submitted, { kind: "accepted", id });
    const ours = ["-f", "-N", "n", "-j", "oe", "-o", "/x/log", "-S", "/bin/sh", "/x/job"];
    assert.deepEqual(calls, [["qsub", ...userArguments, ...ours]]);
  });
});

describe("readPbsSubmission()", () => {
  const table: [what: string, answer: Parameters<typeof readPbsSubmission>[0], kind: string][] = [
    ["an id", { exitCode: 0, stdout: "123.server\n", stderr: "" }, "accepted"],
    ["an id below a site's words", { exitCode: 0, stdout: "Welcome\n123.pbs-1.site.edu\n", stderr: "" }, "accepted"],
    ["nothing", { exitCode: 0, stdout: "", stderr: "" }, "unanswered"],
    ["half an id", { exitCode: 0, stdout: "12", stderr: "" }, "unanswered"],
    ["no answer in time", { exitCode: undefined, stdout: "", stderr: "" }, "unanswered"],
    ["an unknown queue", { exitCode: 170, stdout: "", stderr: "qsub: Unknown queue\n" }, "refused"],
    [
      "an impossible request",
      { exitCode: 188, stdout: "", stderr: "qsub: Job violates queue and/or server resource limits\n" },
      "refused",
    ],
    ["a wrong option", { exitCode: 2, stdout: "", stderr: "qsub: invalid option -- 'Y'\nusage: qsub\n" }, "refused"],
    [
      "a server that is away",
      { exitCode: 162, stdout: "", stderr: "Connection refused\nqsub: cannot connect to server x (errno=15010)\n" },
      "unanswered",
    ],
  ];
  for (const [what, answer, kind] of table) {
    test(`takes ${what} for ${kind}`, () => assert.equal(readPbsSubmission(answer).kind, kind));
  }
});

describe("pbs.ask()", () => {
  async function state(job: Readonly<Record<string, unknown>>): Promise<QueueState | undefined> {
    const { call } = recorded({ stdout: document({ "123.server": job }) });
    return (await pbs.ask([id], call)).get(id);
  }

  const waits = { kind: "pending", reason: undefined, estimatedStart: undefined } as const;
  const table: [job: Readonly<Record<string, unknown>>, state: QueueState][] = [
    [{ job_state: "Q" }, waits],
    [
      { job_state: "Q", comment: "Not Running: Insufficient amount of resource: ncpus" },
      { ...waits, reason: "Insufficient amount of resource: ncpus" },
    ],
    [
      { job_state: "Q", estimated: { start_time: "Wed Nov 25 16:02:19 2026", exec_vnode: "(n1:ncpus=1)" } },
      { ...waits, estimatedStart: "Wed Nov 25 16:02:19 2026" },
    ],
    [{ job_state: "Q", estimated: { start_time: "UNKNOWN" } }, waits],
    [{ job_state: "H" }, { ...waits, reason: "held" }],
    [{ job_state: "W" }, { ...waits, reason: "waits for its time" }],
    [
      { job_state: "R", exec_host: "n1/0*4+n1/1+n2/0*4" },
      { kind: "running", nodes: "n1,n2" },
    ],
    [
      { job_state: "E", Exit_status: 0 },
      { kind: "running", nodes: undefined },
    ],
    [{ job_state: "S" }, { kind: "running", nodes: undefined }],
    [
      { job_state: "F", Exit_status: 0, comment: "Job run at … and finished" },
      { kind: "ended", end: "completed", said: "Exit_status 0, Job run at … and finished", exitCode: 0 },
    ],
    [
      { job_state: "F", Exit_status: 7 },
      { kind: "ended", end: "failed", said: "Exit_status 7", exitCode: 7 },
    ],
    [
      { job_state: "F", Exit_status: 265 },
      { kind: "ended", end: "failed", said: "Exit_status 265", exitCode: 137 },
    ],
    [
      { job_state: "F", Exit_status: 271 },
      { kind: "ended", end: "cancelled", said: "Exit_status 271", exitCode: 143 },
    ],
    [
      { job_state: "F", comment: "terminated" },
      { kind: "ended", end: "cancelled", said: "terminated", exitCode: undefined },
    ],
    [
      { job_state: "F", Exit_status: -29 },
      { kind: "ended", end: "time-limit", said: "Exit_status -29", exitCode: undefined },
    ],
    [
      { job_state: "F", Exit_status: -27 },
      { kind: "ended", end: "memory-limit", said: "Exit_status -27", exitCode: undefined },
    ],
    [
      { job_state: "F", Exit_status: -1 },
      { kind: "ended", end: "other", said: "Exit_status -1", exitCode: undefined },
    ],
    [
      { job_state: "F", Exit_status: 271, comment: "Job exceeded resource walltime" },
      { kind: "ended", end: "time-limit", said: "Exit_status 271, Job exceeded resource walltime", exitCode: 143 },
    ],
    [{ job_state: "Z" }, { kind: "unknown", said: "PBS says that the job is in the state Z" }],
  ];
  for (const [job, expected] of table) {
    test(`reads ${JSON.stringify(job)}`, async () => assert.deepEqual(await state(job), expected));
  }

  test("asks for all in one call, and for the history of those that have finished in one more", async () => {
    const ids = ["1.server", "2.server", "3.server", "4.server"].map(toId);
    const { call, calls } = recorded(
      {
        exitCode: 153,
        stdout: document({ "1.server": { job_state: "R" } }),
        stderr:
          "qstat: 2.server Job has finished, use -x or -H to obtain historical job information\n" +
          "qstat: 3.server Job has finished, use -x or -H to obtain historical job information\n" +
          "qstat: Unknown Job Id 4.server\n",
      },
      {
        stdout: document({
          "2.server": { job_state: "F", Exit_status: 0 },
          "3.server": { job_state: "F", Exit_status: 1 },
        }),
      },
    );
    const states = await pbs.ask(ids, call);
    assert.deepEqual(calls, [
      ["qstat", "-f", "-F", "json", ...ids],
      ["qstat", "-x", "-f", "-F", "json", "2.server", "3.server"],
    ]);
    assert.deepEqual(
      ids.map((each) => states.get(each)?.kind),
      ["running", "ended", "ended", "unknown"],
    );
    const unknown = states.get(toId("4.server"));
    assert.deepEqual(unknown, { kind: "unknown", said: "qstat: Unknown Job Id 4.server" });
  });

  const lines = `Job Id: 123.server
    Job_Name = jacamar-ci-1-a
    job_state = Q
    Output_Path = n1:/a/very/long/path/that/goes/on/and/on/and/on/until/the/line/is/t
\too/long
    comment = Not Running: Insufficient amount of resource: ncpus (R: 4 A: 0 T: 
\t4)
    estimated.start_time = Wed Nov 25 16:02:19 2026

`;
  const expected: QueueState = {
    kind: "pending",
    reason: "Insufficient amount of resource: ncpus (R: 4 A: 0 T: 4)",
    estimatedStart: "Wed Nov 25 16:02:19 2026",
  };

  test("reads lines where qstat has no JSON", async () => {
    const { call, calls } = recorded(
      { exitCode: 2, stderr: "qstat: invalid option -- 'F'\nusage: \n" },
      { stdout: lines },
    );
    assert.deepEqual((await pbs.ask([id], call)).get(id), expected);
    assert.deepEqual(calls[1], ["qstat", "-f", "123.server"]);
  });

  test("looks into the history of a finished job in lines, too", async () => {
    const noJson = { exitCode: 2, stderr: "qstat: invalid option -- 'F'\nusage: \n" };
    const { call, calls } = recorded(
      noJson,
      {
        exitCode: 35,
        stderr: "qstat: 123.server Job has finished, use -x or -H to obtain historical job information\n",
      },
      noJson,
      { stdout: "Job Id: 123.server\n    job_state = F\n    Exit_status = 7\n\n" },
    );
    const state = (await pbs.ask([id], call)).get(id);
    assert.deepEqual(state, { kind: "ended", end: "failed", said: "Exit_status 7", exitCode: 7 });
    assert.deepEqual(calls[3], ["qstat", "-x", "-f", "123.server"]);
  });

  test("reads lines where the JSON is none, as some versions write it", async () => {
    const broken = document({ "123.server": { job_state: "Q" } }).replace('"Q"', '"Q" "');
    const { call } = recorded({ stdout: broken }, { stdout: lines });
    assert.deepEqual((await pbs.ask([id], call)).get(id), expected);
  });

  const silence: [what: string, answers: readonly Recording[]][] = [
    ["a server that is away", [{ exitCode: 255, stderr: "qstat: cannot connect to server x (errno=15010)" }]],
    ["an unknown job", [{ exitCode: 153, stdout: document(undefined), stderr: "qstat: Unknown Job Id 123.server" }]],
    ["half an answer, twice", [{ stdout: '{"Jobs": {"123.server": {"job_state": "F"' }, { stdout: "Job Id: 123.ser" }]],
    ["nonsense", [{ stdout: "\u0000{[<|" }, { stdout: "\u0000{[<|" }]],
    [
      "a finished job without a history",
      [
        { exitCode: 35, stdout: document(undefined), stderr: "qstat: 123.server Job has finished, use -x" },
        { exitCode: 36, stdout: document(undefined), stderr: "qstat: PBS is not configured to maintain job history" },
      ],
    ],
    ["no answer in time", [{ exitCode: undefined }]],
    ["another job", [{ stdout: document({ "1234.server": { job_state: "F", Exit_status: 0 } }) }]],
  ];
  for (const [what, answers] of silence) {
    test(`takes ${what} for no end`, async () => {
      assert.equal((await pbs.ask([id], recorded(...answers).call)).get(id)?.kind, "unknown");
    });
  }
});

describe("pbs.find()", () => {
  test("reads ids in words and in lines", async () => {
    const { call, calls } = recorded({ stdout: "1.server 2.server\n3.server\n" });
    assert.deepEqual(await pbs.find("n", "alice", call), ["1.server", "2.server", "3.server"]);
    assert.deepEqual(calls, [["qselect", "-u", "alice", "-N", "n"]]);
    assert.deepEqual(await pbs.find("n", "alice", recorded({}).call), []);
    assert.equal(await pbs.find("n", "alice", recorded({ exitCode: 162 }).call), undefined);
  });
});

describe("what users may not give to PBS", () => {
  const refused = [
    ["-N", "x"],
    ["-Nx"],
    ["-o", "x"],
    ["-ox"],
    ["-e", "x"],
    ["-joe"],
    ["-koed"],
    ["-hN", "x"],
    ["-I"],
    ["-VI"],
    ["-X"],
    ["-G"],
    ["-J", "1-3"],
    ["-z"],
    ["-S/bin/csh"],
    ["-C", ""],
    ["-R", "oe"],
    ["-W", "block=true"],
    ["-Wblock=true"],
    ["-W", "umask=022,block=true"],
    ["-W", "block = true"],
    ["-W", "Output_Path=/x"],
    ["-W", "interactive=true"],
    ["--version"],
    ["--", "/bin/true"],
    ["script"],
  ];
  for (const line of refused) {
    test(`${line.join(" ")} is refused`, () => assert.ok(findOwn(line, pbs.ownArguments)));
  }

  const free = [
    ["-l", "select=2:ncpus=4:ngpus=1", "-lwalltime=1:00:00"],
    ["-q", "debug", "-A", "project", "-P", "x"],
    ["-W", "depend=afterok:12", "-Wgroup_list=users"],
    ["-V", "-h", "-r", "n", "-p", "10", "-a", "1200"],
    ["-hq", "debug", "-m", "n", "-v", "A=1,B"],
  ];
  for (const line of free) {
    test(`${line.join(" ")} is the user's`, () => assert.equal(findOwn(line, pbs.ownArguments), undefined));
  }
});
