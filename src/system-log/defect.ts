import { defectId } from "../error/defect-id.ts";
import { defaultLogging } from "./sink.ts";
import { writeEntry } from "./system-log.ts";

/**
 * Writes the stack of a defect to the local syslog, whatever the configuration says: by now this may be the user, who cannot
 * write root's log. Returns the id under which it stands there, and whether it does.
 */
export async function logDefect(error: unknown): Promise<{ id: string; isLogged: boolean }> {
  const id = defectId(error);
  const written = await writeEntry(
    { ...defaultLogging, required: false },
    {
      kind: "defect",
      id,
      message: "A defect of this program has ended the stage",
      time: new Date(),
      stack: error instanceof Error ? (error.stack ?? error.message) : String(error),
    },
  );
  return { id, isLogged: written === "written" };
}
