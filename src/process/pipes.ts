import { type Fifo, makeFifos, takeFifo } from "./fifo.ts";
import type { OutputPipes } from "./follow.ts";

/** A job has about a dozen stages of two pipes each; more are made when they are used up. */
const batch = 48;

/** Makes the pipes of a whole job, so that its stages need not. Rejects when they cannot be made. */
export function fillPipes(directory: string): Promise<void> {
  return makeFifos(directory, batch);
}

/**
 * Takes a pair of pipes for a program's output out of a directory of the job; makes new ones when there are none.
 * Rejects when they cannot be made.
 */
export async function takePipes(directory: string): Promise<OutputPipes> {
  return { stdout: await takeOne(directory), stderr: await takeOne(directory) };
}

async function takeOne(directory: string): Promise<Fifo> {
  const ready = takeFifo(directory);
  if (ready) return ready;
  await fillPipes(directory);
  const made = takeFifo(directory);
  if (made) return made;
  throw new Error("mkfifo made no pipe");
}
