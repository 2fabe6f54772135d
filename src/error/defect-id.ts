import { randomBytes } from "node:crypto";

/** The same in every bundle of the program, each of which has its own copy of this file. */
const idOfDefect = Symbol.for("jacamar.defect-id");

/**
 * The id under which the job log, the system log and the record know a defect: 12 hexadecimal digits that nobody can
 * foresee, the same each time that it is asked for.
 */
export function defectId(error: unknown): string {
  if (typeof error !== "object" || error === null) return randomBytes(6).toString("hex");
  const known: unknown = Reflect.get(error, idOfDefect);
  if (typeof known === "string") return known;
  const id = randomBytes(6).toString("hex");
  Reflect.set(error, idOfDefect, id);
  return id;
}
