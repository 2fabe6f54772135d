import { createHash } from "node:crypto";
import type { CachePlan } from "./stage-scripts.ts";
import type { CacheDefinition } from "./storage-definition.ts";

export interface CacheWorld {
  /** The project's own cache directory. */
  readonly directory: string;
  readonly expand: (text: string) => string;
  /** The key of the cache without its variables filled in. */
  readonly key: string;
  /** CACHE_FALLBACK_KEY, or "". */
  readonly fallbackKey: string;
}

/** What the pull and the push side of a cache do. */
export interface PlannedCache {
  readonly plan: CachePlan;
  readonly pull: boolean;
  readonly push: boolean;
  readonly warnings: readonly string[];
}

/**
 * The key as GitLab's server makes it: as written, or from the content of the named files, `default` when none of them
 * is there. (The server takes the last commits that changed the files; their content changes at the same time.)
 */
export function cacheKey(cache: CacheDefinition, readFile: (path: string) => Buffer | undefined): string {
  if (typeof cache.key === "string") return cache.key;
  const contents = cache.key.files.map(readFile).filter((content) => content !== undefined);
  const hash = createHash("sha1");
  for (const content of contents) hash.update(createHash("sha1").update(content).digest("hex"));
  const name = contents.length === 0 ? "default" : hash.digest("hex");
  return cache.key.prefix === "" ? name : `${cache.key.prefix}-${name}`;
}

/** Where a cache lies, its main key first and then its fallbacks. Keys that would lead out of the directory are dropped. */
export function planCache(cache: CacheDefinition, world: CacheWorld): PlannedCache {
  const warnings: string[] = [];
  const keys: { key: string; file: string }[] = [];
  for (const raw of [world.key, ...cache.fallbackKeys, world.fallbackKey]) {
    const wanted = world.expand(raw);
    if (wanted === "") {
      if (raw === world.key) warnings.push("Skipping cache, its key is empty");
      continue;
    }
    const key = cleanKey(wanted);
    if (key === "") warnings.push(`cache key "${wanted}" cannot be used`);
    else if (key !== wanted) warnings.push(`cache key "${wanted}" sanitized to "${key}"`);
    if (key !== "") keys.push({ key, file: `${world.directory}/${key}/cache.tgz` });
    else if (raw === world.key) break;
  }
  const policy = world.expand(cache.policy);
  const known = ["pull", "push", "pull-push", ""].includes(policy);
  if (!known) warnings.push(`cache policy "${policy}" is not known`);
  return {
    plan: { keys, paths: cache.paths.map(world.expand), untracked: cache.untracked },
    pull: known && policy !== "push",
    push: known && policy !== "pull",
    warnings,
  };
}

function cleanKey(key: string): string {
  const parts: string[] = [];
  for (const part of key.replaceAll("\\", "/").split("/")) {
    const clean = part.replaceAll(/\p{Cc}/gu, "").trim();
    if (clean === "" || clean === ".") continue;
    if (clean === "..") return "";
    parts.push(clean);
  }
  return parts.join("/");
}
