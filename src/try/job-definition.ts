import { parseGitlabDuration } from "./duration.ts";
import { type IdTokenDefinition, readIdTokens } from "./id-token-definition.ts";
import { type ImageDefinition, readImage } from "./image-definition.ts";
import {
  asBoolean,
  asCommands,
  asInteger,
  asList,
  asMap,
  asOneOf,
  asPlainValue,
  asText,
  asTextOrTexts,
  asTexts,
  checkKeys,
  entry,
  nearest,
} from "./read-node.ts";
import { readVariables } from "./read-variables.ts";
import {
  type ArtifactsDefinition,
  type CacheDefinition,
  readArtifacts,
  readCaches,
  type When,
} from "./storage-definition.ts";
import type { Variable } from "./variables.ts";
import { type Place, pipelineError, type YamlMap, type YamlNode } from "./yaml-tree.ts";

export interface Need {
  readonly job: string;
  readonly artifacts: boolean;
  readonly optional: boolean;
}

export interface RetryDefinition {
  readonly max: number;
  readonly when: readonly string[];
  readonly exitCodes: readonly number[];
}

/** One job of the pipeline with everything expanded. Lists are empty and undefined values are GitLab's defaults. */
export interface JobDefinition extends Place {
  readonly name: string;
  readonly stage: string;
  readonly image: ImageDefinition | undefined;
  readonly services: readonly ImageDefinition[];
  /** The job's own `variables`, without the pipeline's. */
  readonly variables: readonly Variable[];
  readonly idTokens: readonly IdTokenDefinition[];
  /** Which of the pipeline's variables the job takes over: all, none, or the named ones. */
  readonly inheritVariables: boolean | readonly string[];
  /** before_script and script in one, as the runner gets them. */
  readonly script: readonly string[];
  readonly afterScript: readonly string[];
  readonly preGetSources: readonly string[];
  readonly artifacts: ArtifactsDefinition | undefined;
  readonly caches: readonly CacheDefinition[];
  readonly needs: readonly Need[] | undefined;
  readonly dependencies: readonly string[] | undefined;
  /** true, false, or the exit codes that are forgiven. */
  readonly allowFailure: boolean | readonly number[];
  readonly when: When | "manual";
  readonly retry: RetryDefinition;
  readonly timeoutSeconds: number | undefined;
}

const honoured = [
  "after_script",
  "allow_failure",
  "artifacts",
  "before_script",
  "cache",
  "dependencies",
  "extends",
  "hooks",
  "id_tokens",
  "image",
  "inherit",
  "needs",
  "retry",
  "script",
  "services",
  "stage",
  "timeout",
  "variables",
  "when",
];
const notHonoured = [
  "coverage",
  "dast_configuration",
  "environment",
  "except",
  "identity",
  "inputs",
  "interruptible",
  "manual_confirmation",
  "only",
  "pages",
  "parallel",
  "publish",
  "release",
  "resource_group",
  "rules",
  "run",
  "secrets",
  "start_in",
  "tags",
  "trigger",
  "type",
];

/** Keywords that `default:` may set for all jobs. */
export const defaultKeywords = [
  "after_script",
  "artifacts",
  "before_script",
  "cache",
  "hooks",
  "id_tokens",
  "identity",
  "image",
  "interruptible",
  "retry",
  "services",
  "tags",
  "timeout",
] as const;

/**
 * Reads one job, with `extends` and references already expanded. `unhonoured` is told every keyword that has a meaning
 * on GitLab and none here. Throws `pipeline_invalid` with file and line.
 */
export function readJob(
  name: string,
  own: YamlMap,
  defaults: YamlMap | undefined,
  unhonoured: (keyword: string) => void,
): JobDefinition {
  const what = (keyword: string) => `job "${name}": "${keyword}"`;
  const job = withDefaults(name, own, defaults);
  for (const [key, node] of job.entries) {
    if (notHonoured.includes(key)) unhonoured(key);
    else if (!honoured.includes(key)) {
      const known = [...honoured, ...notHonoured];
      throw pipelineError(node, `job "${name}" has an unknown keyword "${key}"`, nearest(key, known));
    }
  }
  const read = <T>(keyword: string, reader: (node: YamlNode, label: string) => T): T | undefined => {
    const node = entry(job, keyword);
    return node === undefined ? undefined : reader(node, what(keyword));
  };
  const script = read("script", asCommands);
  if (script === undefined) {
    throw pipelineError(
      own,
      `job "${name}" has no script`,
      'A key that is no job starts with a dot, as in ".template"',
    );
  }
  const when = read("when", (node, label) =>
    asOneOf(node, label, ["on_success", "on_failure", "always", "manual", "delayed"]),
  );
  if (when === "delayed") unhonoured("when: delayed");
  return {
    name,
    file: own.file,
    line: own.line,
    stage: read("stage", asText) ?? "test",
    image: read("image", readImage),
    services: read("services", (node, label) => asList(node, label).items.map((one) => readImage(one, label))) ?? [],
    variables: read("variables", readVariables) ?? [],
    idTokens: read("id_tokens", readIdTokens) ?? [],
    inheritVariables: inheritance(job, "variables", what("inherit")),
    script: [...(read("before_script", asCommands) ?? []), ...script],
    afterScript: read("after_script", asCommands) ?? [],
    preGetSources: read("hooks", (node, label) => readHooks(node, label, unhonoured)) ?? [],
    artifacts: read("artifacts", (node, label) => readArtifacts(node, label, unhonoured)),
    caches: read("cache", (node, label) => readCaches(node, label, unhonoured)) ?? [],
    needs: read("needs", (node, label) => readNeeds(node, label, unhonoured)),
    dependencies: read("dependencies", asTexts),
    allowFailure: read("allow_failure", readAllowFailure) ?? when === "manual",
    when: when === undefined || when === "delayed" ? "on_success" : when,
    retry: read("retry", readRetry) ?? { max: 0, when: ["always"], exitCodes: [] },
    timeoutSeconds: read("timeout", readTimeout),
  };
}

function withDefaults(name: string, own: YamlMap, defaults: YamlMap | undefined): YamlMap {
  if (defaults === undefined) return own;
  const inherited = inheritance(own, "default", `job "${name}": "inherit"`);
  const entries = new Map(own.entries);
  for (const [key, value] of defaults.entries) {
    const wanted = typeof inherited === "boolean" ? inherited : inherited.includes(key);
    if (wanted && entry(own, key) === undefined) entries.set(key, value);
  }
  return { ...own, entries };
}

function inheritance(job: YamlMap, key: "default" | "variables", what: string): boolean | string[] {
  const inherit = entry(job, "inherit");
  const node = inherit === undefined ? undefined : entry(asMap(inherit, what), key);
  if (node === undefined) return true;
  return node.kind === "list" ? asTexts(node, `${what}: "${key}"`) : asBoolean(node, `${what}: "${key}"`);
}

function readHooks(node: YamlNode, what: string, unhonoured: (keyword: string) => void): string[] {
  const hooks = asMap(node, what);
  for (const key of hooks.entries.keys()) if (key !== "pre_get_sources_script") unhonoured(`hooks:${key}`);
  const script = entry(hooks, "pre_get_sources_script");
  return script === undefined ? [] : asCommands(script, `${what}: "pre_get_sources_script"`);
}

function readNeeds(node: YamlNode, what: string, unhonoured: (keyword: string) => void): Need[] {
  return asList(node, what).items.flatMap((item) => {
    if (item.kind !== "map") return [{ job: asText(item, what), artifacts: true, optional: false }];
    checkKeys(item, what, ["job", "artifacts", "optional", "parallel", "pipeline", "project", "ref"]);
    for (const key of ["parallel", "pipeline", "project"]) if (item.entries.has(key)) unhonoured(`needs:${key}`);
    const job = entry(item, "job");
    if (job === undefined || item.entries.has("pipeline") || item.entries.has("project")) return [];
    const flag = (key: string, otherwise: boolean) => {
      const value = entry(item, key);
      return value === undefined ? otherwise : asBoolean(value, `${what}: "${key}"`);
    };
    return [
      { job: asText(job, `${what}: "job"`), artifacts: flag("artifacts", true), optional: flag("optional", false) },
    ];
  });
}

function readAllowFailure(node: YamlNode, what: string): boolean | number[] {
  if (node.kind !== "map") return asBoolean(node, what);
  checkKeys(node, what, ["exit_codes"]);
  const codes = entry(node, "exit_codes");
  if (codes === undefined) throw pipelineError(node, `${what} has no "exit_codes"`);
  return exitCodes(codes, `${what}: "exit_codes"`);
}

function exitCodes(node: YamlNode, what: string): number[] {
  return node.kind === "list" ? node.items.map((one) => asInteger(one, what)) : [asInteger(node, what)];
}

function readRetry(node: YamlNode, what: string): RetryDefinition {
  const map = node.kind === "map" ? node : undefined;
  if (map !== undefined) checkKeys(map, what, ["max", "when", "exit_codes"]);
  const maxNode = map === undefined ? node : entry(map, "max");
  const max = maxNode === undefined ? 0 : asInteger(maxNode, `${what}: "max"`);
  if (max < 0 || max > 2) throw pipelineError(node, `${what} is ${max}, but GitLab allows 0, 1 or 2`);
  const when = map === undefined ? undefined : entry(map, "when");
  const codes = map === undefined ? undefined : entry(map, "exit_codes");
  return {
    max,
    when: when === undefined ? (codes === undefined ? ["always"] : []) : asTextOrTexts(when, `${what}: "when"`),
    exitCodes: codes === undefined ? [] : exitCodes(codes, `${what}: "exit_codes"`),
  };
}

function readTimeout(node: YamlNode, what: string): number {
  const seconds = parseGitlabDuration(asPlainValue(node, what));
  if (seconds !== undefined && seconds > 0) return seconds;
  throw pipelineError(node, `${what} is not a duration`, 'Write it as "1 hour 30 minutes" or "90m"');
}
