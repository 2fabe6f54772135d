/** The same in every bundle of the program, each of which has its own copy of this file. */
const idOfDefect = Symbol.for("jacamar.defect-id");

/**
 * The id under which the job log, the system log and the record know a defect: 12 hexadecimal digits that nobody can
 * foresee, the same each time that it is asked for.
 */
export function defectId(error: unknown): string {
  if (typeof error !== "object" || error === null) return newId();
  const known: unknown = Reflect.get(error, idOfDefect);
  if (typeof known === "string") return known;
  const id = newId();
  Reflect.set(error, idOfDefect, id);
  return id;
}

/** Only a defect has one, and loading the module takes every stage 5 ms. */
function newId(): string {
  return process.getBuiltinModule("node:crypto").randomBytes(6).toString("hex");
}
