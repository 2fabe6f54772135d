import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JobFiles } from "../job-file.ts";

/** The files of a batch job in a new directory, none of which is there yet. */
export function makeJobFiles(): JobFiles & { readonly directory: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), "jacamar-batch-"));
  const path = (name: string) => join(directory, name);
  return {
    directory,
    jobFile: path("job"),
    output: path("out"),
    log: path("log"),
    ownId: path("build_script.job-id"),
    started: path("started"),
    status: path("status"),
    stopping: path("stopping"),
    wanted: path("wanted"),
    remove: () => rmSync(directory, { recursive: true }),
  };
}
