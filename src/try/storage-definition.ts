import { asBoolean, asMap, asOneOf, asPlainValue, asText, asTexts, checkKeys, entry } from "./read-node.ts";
import { pipelineError, type YamlMap, type YamlNode } from "./yaml-tree.ts";

/** After which results of the job something is done. */
export type When = "on_success" | "on_failure" | "always";

/** What a job leaves for later jobs. */
export interface ArtifactsDefinition {
  readonly name: string;
  readonly paths: readonly string[];
  readonly exclude: readonly string[];
  readonly untracked: boolean;
  readonly when: When;
  readonly expireIn: string;
}

/** What a job keeps for the next run of itself or of others. */
export interface CacheDefinition {
  readonly key: string | { readonly files: readonly string[]; readonly prefix: string };
  readonly paths: readonly string[];
  readonly untracked: boolean;
  readonly policy: string;
  readonly when: When;
  readonly fallbackKeys: readonly string[];
}

const whens = ["on_success", "on_failure", "always"] as const;

/** Reads `artifacts`. Throws `pipeline_invalid`. */
export function readArtifacts(
  node: YamlNode,
  what: string,
  unhonoured: (keyword: string) => void,
): ArtifactsDefinition {
  const artifacts = asMap(node, what);
  const known = ["paths", "exclude", "untracked", "when", "name", "expire_in"];
  const ignored = ["reports", "expose_as", "public", "access"];
  checkKeys(artifacts, what, [...known, ...ignored]);
  for (const key of artifacts.entries.keys()) if (ignored.includes(key)) unhonoured(`artifacts:${key}`);
  const read = <T>(key: string, reader: (value: YamlNode, label: string) => T): T | undefined => {
    const value = entry(artifacts, key);
    return value === undefined ? undefined : reader(value, `${what}: "${key}"`);
  };
  return {
    name: read("name", asText) ?? "",
    paths: read("paths", asTexts) ?? [],
    exclude: read("exclude", asTexts) ?? [],
    untracked: read("untracked", asBoolean) ?? false,
    when: read("when", (value, label) => asOneOf(value, label, whens)) ?? "on_success",
    expireIn: read("expire_in", asPlainValue) ?? "",
  };
}

/** Reads `cache`, one or up to four of them. Throws `pipeline_invalid`. */
export function readCaches(node: YamlNode, what: string, unhonoured: (keyword: string) => void): CacheDefinition[] {
  const nodes = node.kind === "list" ? node.items : [node];
  if (nodes.length > 4) throw pipelineError(node, `${what} has ${nodes.length} entries, but GitLab allows 4`);
  return nodes.map((one) => readCache(asMap(one, what), what, unhonoured));
}

function readCache(cache: YamlMap, what: string, unhonoured: (keyword: string) => void): CacheDefinition {
  checkKeys(cache, what, ["key", "paths", "untracked", "policy", "when", "fallback_keys", "unprotect"]);
  if (entry(cache, "unprotect") !== undefined) unhonoured("cache:unprotect");
  const read = <T>(key: string, reader: (value: YamlNode, label: string) => T): T | undefined => {
    const value = entry(cache, key);
    return value === undefined ? undefined : reader(value, `${what}: "${key}"`);
  };
  return {
    key: read("key", readCacheKey) ?? "default",
    paths: read("paths", asTexts) ?? [],
    untracked: read("untracked", asBoolean) ?? false,
    policy: read("policy", asText) ?? "pull-push",
    when: read("when", (value, label) => asOneOf(value, label, whens)) ?? "on_success",
    fallbackKeys: read("fallback_keys", asTexts) ?? [],
  };
}

function readCacheKey(node: YamlNode, what: string): CacheDefinition["key"] {
  if (node.kind !== "map") return asPlainValue(node, what);
  checkKeys(node, what, ["files", "files_commits", "prefix"]);
  const files = entry(node, "files") ?? entry(node, "files_commits");
  if (files === undefined) throw pipelineError(node, `${what} has no "files"`);
  const prefix = entry(node, "prefix");
  return {
    files: asTexts(files, `${what}: "files"`),
    prefix: prefix === undefined ? "" : asPlainValue(prefix, `${what}: "prefix"`),
  };
}
