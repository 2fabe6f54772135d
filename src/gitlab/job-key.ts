import type { JobId } from "./job.ts";

/**
 * Tells a job from every other one of a user, also from the job with the same number of another GitLab server: its number
 * and the beginning of a digest of its token. It tells nothing of the token, and no CI variable can change it.
 */
export type JobKey = string & { readonly __brand: "JobKey" };

/** @param tokenDigest hexadecimal SHA-256 of the job's token. */
export function toJobKey(id: JobId, tokenDigest: string): JobKey {
  const key = `${id}-${tokenDigest.slice(0, 12)}`;
  if (!isJobKey(key)) throw new Error("a job key needs a digest");
  return key;
}

/** Whether a text is a job key. */
export function isJobKey(key: unknown): key is JobKey {
  return typeof key === "string" && /^[1-9][0-9]{0,18}-[0-9a-f]{12}$/.test(key);
}
