import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Running, startAsUser } from "../../harness/machine.ts";
import type { Jobs } from "../stopping/jobs.ts";

/** Starts `jacamar try` in a new project of the user's with these files, of which `jacamar.toml` is the configuration. */
export function startTry(jobs: Jobs, files: Readonly<Record<string, string>>): Running {
  const project = mkdtempSync(join(jobs.directory, "project-"));
  chmodSync(project, 0o700);
  jobs.give(project);
  for (const [name, text] of Object.entries(files)) {
    const path = join(project, name);
    writeFileSync(path, text, { mode: text.startsWith("#!") ? 0o700 : 0o600 });
    jobs.give(path);
  }
  const argv = [jobs.stage.jacamar, "try", "--configuration", join(project, "jacamar.toml")] as const;
  return startAsUser(jobs.user, [...argv, join(project, ".gitlab-ci.yml")], { cwd: project });
}
