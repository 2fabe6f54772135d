import { lstatSync, readdirSync } from "node:fs";
import { lifeFile } from "../command/job-files.ts";
import { isJobKey, type JobKey } from "../gitlab/job-key.ts";
import { canBeAlive, isJobLife, type JobLife } from "../gitlab/job-life.ts";
import type { Workspace } from "../workspace/layout.ts";
import { readSmallFile } from "../workspace/small-file.ts";

/** A CI job that has left files and is dead. */
export interface DeadJob {
  readonly key: JobKey;
  readonly life: JobLife;
  readonly workspace: Workspace;
  /** The project, as the directories name it. */
  readonly project: string;
}

/** Deeper than any project of GitLab's lies in its groups. */
const deepest = 30;

/**
 * The dead jobs whose directories lie below a user's base directory. A directory without a note that can be read is nobody's to judge,
 * and stays. No link is followed.
 *
 * @param nowSeconds since 1970.
 */
export function findDeadJobs(base: string, nowSeconds: number): DeadJob[] {
  const found: DeadJob[] = [];
  for (const token of directoriesIn(`${base}/scripts`)) {
    for (const slot of directoriesIn(`${base}/scripts/${token}`)) {
      walk(base, `${token}/${slot}`, [], nowSeconds, found);
    }
  }
  return found;
}

function walk(base: string, root: string, project: readonly string[], nowSeconds: number, found: DeadJob[]): void {
  if (project.length > deepest) return;
  const here = [base, "scripts", root, ...project].join("/");
  for (const name of directoriesIn(here)) {
    const id = /^([1-9][0-9]{0,18})\.private$/.exec(name)?.[1];
    const note = id === undefined ? undefined : readNote(`${here}/${name}`);
    if (note && !canBeAlive(note.life, nowSeconds) && note.key.startsWith(`${id}-`)) {
      found.push({ ...note, project: project.join("/"), workspace: workspaceAt(base, root, project, id ?? "") });
    } else if (id === undefined) {
      walk(base, root, [...project, name], nowSeconds, found);
    }
  }
}

/** The directories of a job, from those of its scripts (`workspace/layout.ts`). A builds directory of the user's own stays unknown. */
function workspaceAt(base: string, root: string, project: readonly string[], id: string): Workspace {
  const slug = project.map(decodePart).join("/");
  const scripts = [base, "scripts", root, ...project].join("/");
  const buildsDir = `${base}/builds/${root}`;
  return {
    base,
    buildsBase: base,
    buildsDir,
    cacheDir: `${base}/cache`,
    projectCacheDir: `${base}/cache/${slug}`,
    projectDir: `${buildsDir}/${slug}`,
    scriptsDir: `${scripts}/${id}`,
    privateDir: `${scripts}/${id}.private`,
  };
}

/** `gr%20oup` is `gr oup`. What would not be one name of a path stays as it is. */
function decodePart(part: string): string {
  const bytes = part.replaceAll(/%([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const name = Buffer.from(bytes, "latin1").toString("utf8");
  return name.includes("/") || name.includes("\0") || name === "." || name === ".." || name === "" ? part : name;
}

function directoriesIn(path: string): string[] {
  try {
    if (!lstatSync(path).isDirectory()) return [];
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

const noteBytes = 512;

function readNote(privateDir: string): { key: JobKey; life: JobLife } | undefined {
  const [key, life, more] = (readSmallFile(lifeFile(privateDir), noteBytes) ?? "").split(/[ \n]/);
  return isJobKey(key) && isJobLife(life) && more === "" ? { key, life } : undefined;
}
