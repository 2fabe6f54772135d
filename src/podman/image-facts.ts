import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { removeTree } from "../workspace/directories.ts";
import { writeNew } from "../workspace/script-files.ts";

const factsSchema = v.object({
  /** Whether a container of it can run /bin/bash; where not, it can run /bin/sh. */
  hasBash: v.boolean(),
});

/** What never changes for an image, since its id is a digest of all that is in it. */
export type ImageFacts = v.InferOutput<typeof factsSchema>;

const name = /^image-[0-9a-f]{64}\.json$/;
const longestBytes = 4096;
const keptMilliseconds = 90 * 24 * 3600 * 1000;

/** What an earlier job of the user has found out about an image; undefined when none has. */
export function recallImage(directory: string, imageId: string): ImageFacts | undefined {
  const path = factsPath(directory, imageId);
  try {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const status = fstatSync(descriptor);
      if (!status.isFile() || status.size > longestBytes) return undefined;
      const parsed = v.safeParse(factsSchema, JSON.parse(readFileSync(descriptor, "utf8")));
      if (!parsed.success) return undefined;
      const now = new Date();
      utimesSync(path, now, now);
      return parsed.output;
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
}

/**
 * Remembers what was found out about an image, and forgets those that nobody has asked for in three months. That it cannot be
 * written is no reason to end a job: the next one finds out again.
 *
 * @param jobKey makes the name unique under which it is written before it gets its own.
 */
export function rememberImage(directory: string, imageId: string, facts: ImageFacts, jobKey: string): void {
  const path = factsPath(directory, imageId);
  const temporary = `${path}.new-${jobKey}`;
  try {
    writeNew(temporary, JSON.stringify(facts), 0o600);
    renameSync(temporary, path);
    for (const entry of readdirSync(directory)) {
      const other = join(directory, entry);
      if (name.test(entry) && Date.now() - lstatSync(other).mtimeMs > keptMilliseconds) removeTree(other);
    }
  } catch {
    removeTree(temporary);
  }
}

function factsPath(directory: string, imageId: string): string {
  const file = `image-${imageId}.json`;
  if (!name.test(file)) throw new Error("facts of something that is no image id");
  return join(directory, file);
}
