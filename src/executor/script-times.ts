import { lstatSync } from "node:fs";
import { type Measurements, sinceStart } from "../measure/measurements.ts";
import { beganFileOf, readMemory, statusFileOf } from "../workspace/script-files.ts";

/** What stands between a script and the start of the program that runs it. */
export type Before = "login" | "container";

/** When a script ran; the times are as {@link sinceStart} gives them. */
export interface ScriptSpan {
  /** When its file was written; just before the start when this is left out. */
  readonly written?: number;
  /** When the program that runs it was started. */
  readonly started: number;
  readonly ended: number;
}

/** Beyond that, a file server has another time than this machine. */
const skewMilliseconds = 2000;

/**
 * Notes how long it took until a script began, how long it ran, and how long until all was over, by the times of the files
 * that the shell around the script leaves; and the memory that the control group of its container tells. It looks at files only, so it costs
 * the stage next to nothing, and the job, which can change those files, deceives nobody but itself.
 *
 * @param script as it lies in the scripts directory.
 */
export function noteScript(measure: Measurements, script: string, before: Before, span: ScriptSpan): void {
  const { started, ended } = span;
  const clock = Date.now() - sinceStart();
  const shouldBe = clock + (span.written ?? started);
  const is = timeOf(script) ?? shouldBe;
  const skew = Math.abs(is - shouldBe) > skewMilliseconds ? is - shouldBe : 0;
  const within = (time: number, low: number) => Math.min(ended, Math.max(low, time - skew - clock));
  const beganAt = timeOf(beganFileOf(script));
  if (beganAt === undefined) {
    measure.add(before, started, ended);
    return;
  }
  const began = within(beganAt, started);
  const leftStatus = timeOf(statusFileOf(script));
  const over = leftStatus === undefined ? ended : within(leftStatus, began);
  measure.add(before, started, began);
  measure.add("script", began, over);
  if (before === "container") measure.add("end", over, ended);
  const memory = readMemory(script);
  if (memory) measure.note(memory);
}

function timeOf(path: string): number | undefined {
  try {
    const status = lstatSync(path, { throwIfNoEntry: false });
    return status?.isFile() === true ? status.mtimeMs : undefined;
  } catch {
    return undefined;
  }
}
