import { closeSync, fstatSync, mkdirSync, realpathSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Config } from "../config/schema.ts";
import { inDirectoryOf, openForAppending } from "../system-log/file.ts";
import { failureReason, LogFailure } from "../system-log/log-failure.ts";
import { jobLine, stageLine, type EndedStage, type Whose } from "./compose.ts";
import { encodeJob, encodeStage } from "./encode.ts";
import { rotate } from "./generations.ts";
import type { StageLine } from "./line.ts";
import { countInFile } from "./metrics-file.ts";
import type { Place } from "./place.ts";
import { stagesOfJob } from "./tail.ts";

export type { EndedStage, Whose } from "./compose.ts";
export { stageLine, told } from "./compose.ts";
export { encodeStage } from "./encode.ts";
export { decodeLine } from "./decode.ts";
export { placeOf } from "./place.ts";

type RecordConfig = NonNullable<Config["record"]>;

/** What a recorder has to go by. */
export interface RecorderOptions {
  readonly settings: RecordConfig;
  readonly place: Place;
  /** Tells the job's stages from all others. */
  readonly key: string | undefined;
  /** When the job began: its stages are looked for from then on. */
  readonly since: Date;
  /** `config`, `prepare`, `cleanup`, or the runner's name for a script. */
  readonly stage: string;
}

/** Writes the line of one stage, and with the last stage that of the job. */
export class Recorder {
  readonly #options: RecorderOptions;
  /** A file that was opened before the rights to do so were given up. */
  #descriptor: number | undefined;
  /** The stages of the job before this one; undefined while nobody has looked. */
  #earlier: readonly StageLine[] | undefined;
  #failure: Error | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Whether the record is the user's own, and written by them. */
  get isOwn(): boolean {
    return this.#options.place.kind === "file" && this.#options.place.own;
  }

  /**
   * Does now, with the rights that this process still has, what a file of the administrator's needs: opens it, and for the
   * last stage reads what it has of the job. Never throws: {@link write} tells what failed.
   */
  openBeforeTheDoor(): void {
    const { place } = this.#options;
    if (place.kind !== "file" || place.own) return;
    try {
      this.#prepareFile(place.path);
      this.#descriptor = openForAppending(place.path);
      if (this.#options.stage === "cleanup") this.#lookBack(place.path);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Writes the stage, once. Throws `LogFailure`. */
  async write(whose: Whose, ended: EndedStage): Promise<void> {
    const line = stageLine(whose, ended);
    if (line !== undefined) await this.writeLine(line);
  }

  /** Writes a line that was composed elsewhere, once. Throws `LogFailure`. */
  async writeLine(line: StageLine): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const { place, stage } = this.#options;
    if (place.kind !== "file") return writeToSystem(place.kind, [encodeStage(line)]);
    if (place.own) makeDirectoryOf(place.path);
    const path = place.own ? `${realpathSync(dirname(place.path))}/${nameOf(place.path)}` : place.path;
    const opened = this.#descriptor;
    if (opened === undefined) this.#prepareFile(path);
    const descriptor = opened ?? openForAppending(path);
    try {
      const lines = [encodeStage(line), ...this.#jobLine(path, line, opened !== undefined)];
      // Its generation was removed while the job ran, and a new file cannot be opened any more.
      if (fstatSync(descriptor).nlink === 0) return await writeToSystem("syslog", lines);
      for (const each of lines) writeLine(descriptor, path, each);
    } finally {
      this.#descriptor = undefined;
      closeSync(descriptor);
    }
    if (stage === "config" && line.outcome !== "passed") this.#count([line]);
  }

  /** The job's line comes with its last stage; a job that is not even configured has no other. */
  #jobLine(path: string, line: StageLine, behindTheDoor: boolean): string[] {
    const { stage } = this.#options;
    if (stage === "config" && line.outcome !== "passed") return encoded([line]);
    if (stage !== "cleanup") return [];
    if (this.#earlier === undefined && !behindTheDoor) this.#lookBack(path);
    return this.#earlier === undefined ? [] : encoded([...this.#earlier, line]);
  }

  #lookBack(path: string): void {
    const { key, since } = this.#options;
    if (key === undefined) return;
    this.#earlier = inDirectoryOf(path, (file) => stagesOfJob(file, key, since));
    this.#count(this.#earlier);
  }

  #count(stages: readonly StageLine[]): void {
    const { settings, place } = this.#options;
    const job = jobLine(stages);
    if (job === undefined || settings.prometheus_file === undefined || place.kind !== "file" || place.own) return;
    countInFile(settings.prometheus_file, `${place.path}.metrics`, job);
  }

  #prepareFile(path: string): void {
    const { settings } = this.#options;
    const rotation = { maxBytes: settings.max_size, keep: settings.keep };
    inDirectoryOf(path, (file) => rotate(file, rotation));
  }
}

function encoded(stages: readonly StageLine[]): string[] {
  const job = jobLine(stages);
  return job === undefined ? [] : [encodeJob(job)];
}

/** One write for a line: processes that write at once do not mix their lines. */
function writeLine(descriptor: number, path: string, line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  let written: number;
  try {
    written = writeSync(descriptor, bytes);
  } catch (cause) {
    throw new LogFailure(`"${path}": ${failureReason(cause)}`, { cause });
  }
  if (written !== bytes.length) throw new LogFailure(`"${path}": the file system is full`);
}

async function writeToSystem(kind: "syslog" | "journald", lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    if (kind === "journald") {
      const { writeToJournald } = await import("../system-log/journald.ts");
      await writeToJournald(line, "info");
    } else {
      const { writeToLocalSyslog } = await import("../system-log/local-syslog.ts");
      await writeToLocalSyslog(line, "info");
    }
  }
}

/** A user's own file may lie in a directory that is not there yet. */
function makeDirectoryOf(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new LogFailure(`"${dirname(path)}": ${failureReason(cause)}`, { cause });
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
