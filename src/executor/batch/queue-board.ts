import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import * as v from "valibot";
import { systemErrorCode } from "../../error/error.ts";
import { startTimeOf } from "../../process/job-processes.ts";
import type { Environment } from "../../process/command.ts";
import { pause } from "../../process/signals.ts";
import { readSmallFile } from "../../workspace/small-file.ts";
import type { QueueState, SchedulerId } from "./scheduler.ts";

/** Asks the scheduler for these jobs. */
export type AskAll = (ids: readonly SchedulerId[]) => Promise<ReadonlyMap<SchedulerId, QueueState>>;

const stateSchema = v.variant("kind", [
  v.object({
    kind: v.literal("pending"),
    reason: v.optional(v.string()),
    estimatedStart: v.optional(v.string()),
    position: v.optional(v.number()),
  }),
  v.object({ kind: v.literal("running"), nodes: v.optional(v.string()) }),
  v.object({
    kind: v.literal("ended"),
    end: v.picklist([
      ...(["completed", "failed", "cancelled", "time-limit", "memory-limit", "node-failure", "preempted"] as const),
      "other",
    ]),
    said: v.string(),
    exitCode: v.optional(v.number()),
  }),
  v.object({ kind: v.literal("unknown"), said: v.string() }),
]);
const boardSchema = v.object({ atMilliseconds: v.number(), states: v.record(v.string(), stateSchema) });

/** Longer than any question to a scheduler may take. */
const staleLockMilliseconds = 90_000;
const lookMilliseconds = 200;

/**
 * The directory where the drivers that ask the same scheduler on the same machine meet.
 *
 * @param parent the user's own, 0700.
 * @param environment of the scheduler's programs: with another one they may ask another cluster, where the same number is
 *   another job.
 * @param programs where they are.
 */
export function boardDirectory(parent: string, environment: Environment, programs: string | undefined): string {
  const entries = Object.entries(environment).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const digest = createHash("sha256").update(JSON.stringify([hostname(), programs ?? "", entries]));
  return `${parent}/jacamar-ci-queue-${digest.digest("hex").slice(0, 16)}`;
}

/**
 * Where the drivers of a user's jobs on one machine share what the scheduler has answered, so that a hundred waiting jobs
 * are asked for in one call. Each notes its job; whoever wants to know first asks for all that are noted, and the others read the answer.
 *
 * It lies in a directory that only the user can enter. What stands there is as good as the user's own programs; it only
 * decides what is shown, and when the driver asks the scheduler itself: an end is always confirmed without it.
 */
export class QueueBoard {
  readonly #directory: string;
  readonly #noted = new Set<string>();

  /** @param directory the user's own, 0700; made here, in a directory that is checked. */
  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Notes that somebody waits for the job. Where that is not possible (any more), the others do not ask for it. */
  note(id: SchedulerId): void {
    const path = this.#noteOf(id);
    try {
      writeFileSync(path, owner(), { mode: 0o600 });
      this.#noted.add(path);
    } catch {
      // The system takes the directory away when its user has logged out, and a disk may be full.
    }
  }

  /** Takes the notes of this process away. */
  close(): void {
    for (const path of this.#noted) unlink(path);
    this.#noted.clear();
  }

  /** What is known of the job, by an answer that is no older than that; asks when there is none. */
  async ask(id: SchedulerId, oldestMilliseconds: number, askAll: AskAll, stop: AbortSignal): Promise<QueueState> {
    const wanted = Date.now() - oldestMilliseconds;
    const deadline = Date.now() + staleLockMilliseconds;
    while (Date.now() < deadline && !stop.aborted) {
      const known = this.#read(id, wanted);
      if (known) return known;
      const lock = this.#lock();
      // The directory is gone, or takes no file: nobody else will ask.
      if (lock === "unusable") return (await askAll([id])).get(id) ?? notNamed;
      if (lock === undefined) {
        await pause(lookMilliseconds, stop);
        continue;
      }
      try {
        // Somebody may have asked between the look and the lock.
        return this.#read(id, wanted) ?? (await this.#askForAll(id, askAll, stop));
      } finally {
        closeSync(lock);
        unlink(this.#lockFile);
      }
    }
    return { kind: "unknown", said: "nobody has asked the scheduler in time" };
  }

  async #askForAll(id: SchedulerId, askAll: AskAll, stop: AbortSignal): Promise<QueueState> {
    const atMilliseconds = Date.now();
    const ids = [...new Set([id, ...this.#livingNotes()])];
    const states = await askAll(ids);
    // The question was cut off: that tells the others nothing.
    if (stop.aborted) return { kind: "unknown", said: "the stage is to end" };
    const text = JSON.stringify({ atMilliseconds, states: Object.fromEntries(states) });
    const temporary = `${this.#directory}/board.${process.pid}`;
    try {
      writeFileSync(temporary, text, { mode: 0o600 });
      renameSync(temporary, this.#boardFile);
    } catch {
      // What was answered is known here.
    }
    return states.get(id) ?? notNamed;
  }

  /** The jobs for which a driver still waits. What a killed one left is removed. */
  #livingNotes(): SchedulerId[] {
    return this.#names().flatMap((name) => {
      if (!name.startsWith(notePrefix)) return [];
      const path = `${this.#directory}/${name}`;
      const id = decode(name.slice(notePrefix.length));
      if (isAlive(readSmallFile(path, limitBytes))) return isId(id) ? [id] : [];
      unlink(path);
      return [];
    });
  }

  #names(): string[] {
    try {
      return readdirSync(this.#directory);
    } catch {
      return [];
    }
  }

  #read(id: SchedulerId, wanted: number): QueueState | undefined {
    const text = readSmallFile(this.#boardFile, limitBytes);
    if (text === undefined) return undefined;
    try {
      const board = v.safeParse(boardSchema, JSON.parse(text));
      if (!board.success || board.output.atMilliseconds < wanted) return undefined;
      return Object.hasOwn(board.output.states, id) ? board.output.states[id] : undefined;
    } catch {
      return undefined;
    }
  }

  /** The descriptor of the lock; undefined while a living process has it. */
  #lock(): number | undefined | "unusable" {
    let descriptor: number;
    try {
      descriptor = openSync(this.#lockFile, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    } catch (error) {
      if (systemErrorCode(error) !== "EEXIST") return "unusable";
      const holder = readSmallFile(this.#lockFile, limitBytes);
      const age = Date.now() - (statSync(this.#lockFile, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      // A lock without a name was made this moment.
      const dead = holder !== undefined && holder !== "" && !isAlive(holder);
      if (dead || age > staleLockMilliseconds) this.#breakLock(holder);
      return undefined;
    }
    try {
      writeSync(descriptor, owner());
    } catch {
      // Without a name it counts as one that is being made, for a while.
    }
    return descriptor;
  }

  /** Only the lock that was looked at: another one may have broken it and made its own meanwhile. */
  #breakLock(holder: string | undefined): void {
    const aside = `${this.#directory}/broken.${process.pid}`;
    try {
      renameSync(this.#lockFile, aside);
      if (readSmallFile(aside, limitBytes) === holder) unlink(aside);
      else renameSync(aside, this.#lockFile);
    } catch {
      // Gone already.
    }
  }

  #noteOf(id: SchedulerId): string {
    return `${this.#directory}/${notePrefix}${encodeURIComponent(id)}`;
  }

  get #boardFile(): string {
    return `${this.#directory}/board`;
  }

  get #lockFile(): string {
    return `${this.#directory}/lock`;
  }
}

const notePrefix = "waiting.";

const notNamed: QueueState = { kind: "unknown", said: "the scheduler's answer does not name the job" };

/** Only what a driver could have noted: it comes to stand on a command line together with other drivers' jobs. */
function isId(text: string): text is SchedulerId {
  return /^[^\s,-][^\s,]{0,199}$/.test(text);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** This process, so that a number that is given again is not taken for it. */
function owner(): string {
  return `${hostname()} ${process.pid} ${startTimeOf(process.pid) ?? ""}`;
}

function isAlive(holder: string | undefined): boolean {
  const [host, pid, startTime] = (holder ?? "").split(" ");
  if (host !== hostname() || pid === undefined || !/^[0-9]+$/.test(pid)) return false;
  return startTimeOf(Number(pid)) === startTime;
}

const limitBytes = 16 * 1024 * 1024;

function unlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already.
  }
}
