import type { SchedulerId } from "../scheduler.ts";

/** A scheduler's name for a job, from a text that a test knows to be one. */
export function id(text: string): SchedulerId {
  if (!isId(text)) throw new Error("an id without a character");
  return text;
}

function isId(text: string): text is SchedulerId {
  return text !== "";
}
