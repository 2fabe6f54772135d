import { begunLine, exitCodeLine, recordLine, unpackHandover } from "../downscope/handover.ts";
import { JacamarError } from "../error/error.ts";
import { type Job, parseJob } from "../gitlab/job.ts";
import { JobLog } from "../log/job-log.ts";
import { writeWhole } from "../log/output.ts";
import { isLeftAlone, lookOut } from "../process/signals.ts";
import { readHandedOver } from "../process/supervise.ts";
import { runStage } from "./call.ts";
import { openContext } from "./context.ts";
import { checkJob } from "./identity.ts";
import type { RunnerFiles } from "./runner-files.ts";
import { unpackState } from "./state.ts";

/** Far above what a job response and a script may have. */
const limitBytes = 256 * 1024 * 1024;

/**
 * Does a stage that `jacamar-auth` hands over on standard input, as the account of this process. It ends when the stage
 * does, or when standard input ends: then `jacamar-auth` wants it to, or is gone.
 *
 * @param door called with the environment that was handed over, before anything is done for the job.
 * Throws what the stage throws.
 */
export async function runHandedOver(
  stop: AbortSignal,
  door: (environment: Readonly<Record<string, string>>) => Promise<void>,
): Promise<void> {
  const { line, gone } = await readHandedOver(limitBytes);
  const handover = unpackHandover(line);
  await door(handover.environment);
  writeWhole(2, Buffer.from(begunLine(handover.nonce)));
  const files: RunnerFiles = {
    job: jobOf(handover.response),
    script: handover.script === undefined ? undefined : Buffer.from(handover.script, "base64"),
    exitCode: {
      write: (code) => {
        writeWhole(2, Buffer.from(exitCodeLine(handover.nonce, code)));
        return true;
      },
    },
  };
  checkJob(unpackState(handover.environment), files.job);
  const either = AbortSignal.any([stop, gone]);
  lookOut(either, async () => (await isLeftAlone(stop)) || (await isLeftAlone(gone)));
  const context = openContext(handover.environment, files, either);
  const send = (line: string) => void writeWhole(2, Buffer.from(recordLine(handover.nonce, line)));
  const stage = { command: handover.stage, stage: handover.scriptStage };
  await runStage(stage, context, new JobLog(1), { kind: "handed up", send });
  if (context.stop.aborted) throw new JacamarError("interrupted", "GitLab Runner ended this stage");
}

/** The job, or why it is not known: cleanup can do without. */
function jobOf(response: string | undefined): Job | JacamarError {
  if (response === undefined) {
    return new JacamarError("job_response_invalid", "The job response was gone when the stage began");
  }
  try {
    return parseJob(response);
  } catch (error) {
    if (error instanceof JacamarError) return error;
    throw error;
  }
}
