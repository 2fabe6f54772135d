import type { JacamarError } from "../error/error.ts";
import { checks } from "./checks.ts";
import { lookAll } from "./look.ts";
import { findingsOf, forJobLog } from "./present.ts";
import { Subject, type SubjectParts } from "./subject.ts";

/** A user waits for it, and the runner for the stage. */
const limitSeconds = 5;

/**
 * What may explain a stage's failure, in lines for the job log: only what is wrong, never a warning, and nothing that the
 * failure says itself. Takes at most five seconds, and never throws for what a machine can be like.
 */
export async function diagnose({ code, message }: JacamarError, parts: SubjectParts): Promise<string[]> {
  const stop = AbortSignal.any([parts.stop, AbortSignal.timeout(limitSeconds * 1000)]);
  const subject = new Subject({ ...parts, stop });
  try {
    const fitting = checks.filter(({ explains }) => explains.includes(code));
    const looked = await lookAll(fitting, subject, limitSeconds);
    return findingsOf(looked)
      .filter(({ level, text }) => level === "wrong" && !message.includes(text))
      .map(forJobLog);
  } finally {
    await subject.close();
  }
}
