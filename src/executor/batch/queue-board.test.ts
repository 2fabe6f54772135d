import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { startTimeOf } from "../../process/job-processes.ts";
import { pause } from "../../process/signals.ts";
import { type AskAll, boardDirectory, QueueBoard } from "./queue-board.ts";
import type { QueueState, SchedulerId } from "./scheduler.ts";
import { toId as id } from "./testing/recorded.ts";

const waiting: QueueState = { kind: "pending", reason: "Priority", position: 3 };
const never = new AbortController().signal;
const minute = 60_000;

describe("QueueBoard", () => {
  let directory: string;
  let asked: (readonly SchedulerId[])[];

  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), "jacamar-board-")), "board");
    asked = [];
  });
  afterEach(() => rmSync(join(directory, ".."), { recursive: true }));

  const askAll: AskAll = async (ids) => {
    asked.push(ids);
    await pause(20);
    return new Map(ids.map((each) => [each, waiting]));
  };
  const ask = (board: QueueBoard, job: string, oldest = minute, stop = never) =>
    board.ask(id(job), oldest, askAll, stop);

  test("belongs to the user alone", () => {
    new QueueBoard(directory).note(id("1"));
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    for (const name of readdirSync(directory)) assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600);
  });

  test("lets a hundred drivers ask once, for all their jobs", async () => {
    const boards = Array.from({ length: 100 }, (_, index) => {
      const board = new QueueBoard(directory);
      board.note(id(String(index + 1)));
      return board;
    });
    const states = await Promise.all(boards.map((board, index) => ask(board, String(index + 1))));
    for (const state of states) assert.deepEqual(state, waiting);
    assert.equal(asked.length, 1);
    assert.equal(new Set(asked[0]).size, 100);
  });

  test("asks for its own job when its directory is taken away, before a question or during one", async () => {
    const board = new QueueBoard(directory);
    const taking: AskAll = async (ids) => {
      rmSync(directory, { recursive: true });
      return askAll(ids);
    };
    board.note(id("1"));
    assert.deepEqual(await board.ask(id("1"), minute, taking, never), waiting);
    board.note(id("2"));
    assert.deepEqual(await ask(board, "2"), waiting);
    assert.deepEqual(asked, [["1"], ["2"]]);
    board.close();
  });

  test("asks anew when the answer is older than wanted, or of before the job", async () => {
    const board = new QueueBoard(directory);
    await ask(board, "1");
    await ask(board, "1");
    assert.equal(asked.length, 1);
    await pause(30);
    await ask(board, "1", 10);
    assert.equal(asked.length, 2);
    await ask(board, "2");
    assert.equal(asked.length, 3);
  });

  test("takes an answer for no newer than its question", async () => {
    const board = new QueueBoard(directory);
    const slow: AskAll = async (ids) => {
      await pause(50);
      return askAll(ids);
    };
    await board.ask(id("1"), minute, slow, never);
    await ask(board, "1", 40);
    assert.equal(asked.length, 2);
  });

  test("asks for jobs with a living driver only, and takes the notes of dead ones away", async () => {
    const board = new QueueBoard(directory);
    board.note(id("1"));
    const { pid } = process;
    const dead: Record<string, string> = {
      "waiting.2": `${hostname()} 999999999 5`,
      "waiting.3": `${hostname()} ${pid} 1`,
      "waiting.4": `elsewhere ${pid} ${startTimeOf(pid)}`,
      "waiting.5": "",
      "waiting.6": "rubbish",
      "waiting.7": `${hostname()} -1 ${startTimeOf(pid)}`,
    };
    for (const [name, text] of Object.entries(dead)) writeFileSync(join(directory, name), text);
    await ask(board, "9");
    assert.deepEqual(asked, [["9", "1"]]);
    assert.deepEqual(notes(), ["waiting.1"]);
    board.close();
    assert.deepEqual(notes(), []);
  });

  test("asks for nothing that no driver can have noted", async () => {
    const board = new QueueBoard(directory);
    const mine = `${hostname()} ${process.pid} ${startTimeOf(process.pid)}`;
    for (const name of ["waiting.", "waiting.%", "waiting.%ff", "waiting.a%20b", "waiting.1%2C2", "waiting.--all"]) {
      writeFileSync(join(directory, name), mine);
    }
    board.note(id("ƒCUfSXq"));
    board.note(id("4;a"));
    await ask(board, "1");
    assert.deepEqual(asked[0]?.toSorted(), ["1", "4;a", "ƒCUfSXq"]);
  });

  test("takes the lock of a driver that was killed", async () => {
    const board = new QueueBoard(directory);
    writeFileSync(lock(), `${hostname()} 999999999 5`);
    assert.deepEqual(await ask(board, "1"), waiting);
    assert.equal(existsSync(lock()), false);
  });

  test("waits for one that lives, and reads what it has found", async () => {
    const board = new QueueBoard(directory);
    writeFileSync(lock(), `${hostname()} ${process.pid} ${startTimeOf(process.pid)}`);
    const answer = ask(board, "1");
    await pause(300);
    assert.equal(asked.length, 0);
    writeFileSync(join(directory, "board"), boardText({ 1: { kind: "running", nodes: "n1" } }));
    assert.deepEqual(await answer, { kind: "running", nodes: "n1" });
    assert.equal(asked.length, 0);
    assert.ok(existsSync(lock()));
  });

  test("respects a lock without a name, which was made this moment, but not for ever", async () => {
    const board = new QueueBoard(directory);
    writeFileSync(lock(), "");
    const stop = new AbortController();
    const answer = ask(board, "1", minute, stop.signal);
    await pause(300);
    stop.abort();
    assert.equal((await answer).kind, "unknown");
    assert.equal(asked.length, 0);
    utimesSync(lock(), 1, 1);
    assert.deepEqual(await ask(board, "1"), waiting);
  });

  test("gives the lock back when the scheduler cannot be asked, so that the next one can", async () => {
    const board = new QueueBoard(directory);
    const broken: AskAll = () => Promise.reject(new Error("no squeue"));
    await assert.rejects(board.ask(id("1"), minute, broken, never), /no squeue/);
    assert.equal(existsSync(lock()), false);
    assert.deepEqual(await ask(board, "1"), waiting);
  });

  test("knows nothing of a job that the answer does not name, and asks for it again", async () => {
    const board = new QueueBoard(directory);
    const nothing: AskAll = () => Promise.resolve(new Map());
    assert.deepEqual(await board.ask(id("1"), minute, nothing, never), {
      kind: "unknown",
      said: "the scheduler's answer does not name the job",
    });
    assert.deepEqual(await ask(board, "1"), waiting);
  });

  const damaged: [what: string, text: string][] = [
    ["an empty one", ""],
    ["half of one", boardText({ 1: waiting }).slice(0, -9)],
    ["one without a time", JSON.stringify({ states: { 1: waiting } })],
    ["one with a time that is none", JSON.stringify({ atMilliseconds: "now", states: { 1: waiting } })],
    ["one with a state that is none", boardText({ 1: { kind: "finished" } })],
    ["one with an end that is none", boardText({ 1: { kind: "ended", end: "well", said: "x" } })],
    ["one without the job", boardText({ 2: waiting })],
    ["a list", "[]"],
    ["null", "null"],
    ["no text at all", "\0\u00ff"],
  ];
  for (const [what, text] of damaged) {
    test(`asks itself where the board is ${what}`, async () => {
      const board = new QueueBoard(directory);
      writeFileSync(join(directory, "board"), text);
      assert.deepEqual(await ask(board, "1"), waiting);
      assert.equal(asked.length, 1);
    });
  }

  test("finds no job in what every object has", async () => {
    const board = new QueueBoard(directory);
    writeFileSync(join(directory, "board"), boardText({ 1: waiting }));
    await ask(board, "constructor");
    assert.equal(asked.length, 1);
  });

  test("reads through no link, and writes through none", async () => {
    const board = new QueueBoard(directory);
    const other = join(directory, "..", "other");
    const text = boardText({ 1: { kind: "running" } });
    writeFileSync(other, text);
    symlinkSync(other, join(directory, "board"));
    assert.deepEqual(await ask(board, "1"), waiting);
    assert.equal(readFileSync(other, "utf8"), text);
  });

  const lock = () => join(directory, "lock");
  const notes = () => readdirSync(directory).filter((name) => name.startsWith("waiting."));
});

describe("boardDirectory()", () => {
  const base = boardDirectory("/run/user/7", { A: "1", SLURM_CONF: "/a" }, undefined);

  test("is the same for the same programs and surroundings, whatever their order", () => {
    assert.equal(boardDirectory("/run/user/7", { SLURM_CONF: "/a", A: "1" }, undefined), base);
    assert.match(base, /^\/run\/user\/7\/jacamar-ci-queue-[0-9a-f]{16}$/);
  });

  test("is another one for another cluster", () => {
    const others = [
      boardDirectory("/run/user/7", { A: "1", SLURM_CONF: "/b" }, undefined),
      boardDirectory("/run/user/7", { A: "1", SLURM_CONF: "/a" }, "/opt/slurm/bin"),
      boardDirectory("/run/user/7", { A: "1" }, undefined),
    ];
    assert.equal(new Set([base, ...others]).size, 4);
  });
});

function boardText(states: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ atMilliseconds: Date.now(), states });
}
