import assert from "node:assert/strict";
import type { Ended } from "../../harness/machine.ts";
import { type AnyJob, logOf } from "../stopping/jobs.ts";

/** Whose fault a stage says it was, as GitLab Runner's usual exit codes. */
export const fault = { job: 1, system: 2 } as const;

/** A stage that failed said why in exactly one message, with the right exit code, and showed nothing of its own inside. */
export function assertOneMessage(ended: Ended, whose: keyof typeof fault, message: RegExp): void {
  const log = logOf(ended);
  assert.equal(ended.exitCode, fault[whose], log);
  assert.match(ended.stderr, message);
  assert.equal(log.match(/ERROR/g)?.length, 1, log);
  // One line, at most one line of advice, and what is wrong on the machine.
  assert.match(ended.stderr, /^ERROR: [^\n]+\n(?: {2}[^\n]+\n)?(?: {2}Found on this machine:\n(?: {2}- [^\n]+\n)+)?$/);
  assertNoInside(ended);
}

/** Nothing of a stack trace, of Node's own warnings, or of a defect. */
export function assertNoInside(ended: Ended): void {
  assert.doesNotMatch(logOf(ended), /\n\s+at |internal error|\(node:\d+\)|node:internal/);
}

/** config, which must work, and prepare, which must not. */
export async function prepareFails(job: AnyJob): Promise<Ended> {
  const config = await job.config();
  assert.equal(config.exitCode, 0, config.stderr);
  const prepare = await job.prepare();
  assert.notEqual(prepare.exitCode, 0, logOf(prepare));
  return prepare;
}
