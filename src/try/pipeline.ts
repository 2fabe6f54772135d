import { expandExtends, deepMerge, resolveReferences } from "./expand-pipeline.ts";
import { defaultKeywords, type JobDefinition, readJob } from "./job-definition.ts";
import { readVariables } from "./read-variables.ts";
import { asMap, asText, asTexts, entry, nearest } from "./read-node.ts";
import type { Variable } from "./variables.ts";
import { pipelineError, readYaml, type YamlMap, type YamlNode } from "./yaml-tree.ts";

/** A pipeline with all its jobs expanded, in the order of its stages and then of the file. */
export interface Pipeline {
  readonly stages: readonly string[];
  readonly variables: readonly Variable[];
  readonly jobs: readonly JobDefinition[];
  /** What GitLab would do and this program does not, a line each. */
  readonly warnings: readonly string[];
}

export interface PipelineSource {
  /** The file's name as messages show it. */
  readonly file: string;
  readonly text: string;
  /** Reads a file of `include: local`, by its path below the project; undefined when it is not there. */
  readonly readLocal: (path: string) => string | undefined;
}

const globalKeywords = ["default", "include", "stages", "variables", "workflow", "spec"];
/** Defaults may also stand at the top level, an old form that GitLab still reads. */
const oldDefaults = ["image", "services", "cache", "before_script", "after_script"];
const mostNames = 5;
const includeLimit = 150;
const sizeLimit = 2 * 1024 * 1024;

/**
 * Reads a `.gitlab-ci.yml` as GitLab does: anchors, `include: local`, `extends`, `!reference`, `default`, `inherit`.
 * Throws `pipeline_invalid` with file, line and, where a name is wrong, the nearest one.
 */
export function readPipeline(source: PipelineSource): Pipeline {
  const warnings: string[] = [];
  const warn = (message: string) => void (warnings.includes(message) || warnings.push(message));
  const root = resolveReferences(expandExtends(load(source, warn)));
  const start = { file: source.file, line: 1 };

  const stages = readStages(root);
  const variablesNode = entry(root, "variables");
  const variables = variablesNode === undefined ? [] : readVariables(variablesNode, '"variables"');
  if (entry(root, "workflow") !== undefined) warn('"workflow" is not honoured: the pipeline runs in any case');
  const defaults = readDefaults(root);

  const jobs: JobDefinition[] = [];
  const unhonoured = new Map<string, string[]>();
  for (const [name, node] of root.entries) {
    if (name.startsWith(".") || globalKeywords.includes(name) || oldDefaults.includes(name)) continue;
    if (node.kind !== "map") {
      const hint = nearest(name, [...globalKeywords, ...oldDefaults]);
      throw pipelineError(node, `"${name}" is neither a job nor a keyword that GitLab knows`, hint);
    }
    if (entry(node, "trigger") !== undefined) {
      warn(`job "${name}" is left out: "trigger" starts another pipeline, which needs a GitLab server`);
      continue;
    }
    const job = readJob(name, node, defaults, (keyword) => {
      const others = unhonoured.get(keyword) ?? [];
      if (!others.includes(name)) unhonoured.set(keyword, [...others, name]);
    });
    if (!stages.includes(job.stage)) {
      const hint = nearest(job.stage, stages) ?? `The stages are: ${stages.join(", ")}`;
      throw pipelineError(node, `job "${name}" is in stage "${job.stage}", which is not among the stages`, hint);
    }
    jobs.push(job);
  }
  if (jobs.length === 0) throw pipelineError(start, "There is no job in this pipeline");
  for (const [keyword, names] of unhonoured) warn(`${jobList(names)}: "${keyword}" is not honoured`);
  jobs.sort((a, b) => stages.indexOf(a.stage) - stages.indexOf(b.stage));
  checkNames(jobs, stages);
  return { stages, variables, jobs, warnings };
}

/** A keyword of `default` is one of every job: that is one line, not one a job. */
function jobList(names: readonly string[]): string {
  const shown = names.slice(0, mostNames).map((name) => `"${name}"`);
  const more = names.length - shown.length;
  return `job${names.length === 1 ? "" : "s"} ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function load(source: PipelineSource, warn: (message: string) => void): YamlMap {
  let included = 0;
  return read(source.text, source.file, []);

  function read(text: string, file: string, chain: readonly string[]): YamlMap {
    const start = { file, line: 1 };
    if (text.length > sizeLimit) throw pipelineError(start, "The file is larger than 2 MiB");
    const documents = readYaml(text, file, warn);
    const [first, second] = documents;
    const isHeader = second !== undefined && first?.kind === "map" && first.entries.has("spec");
    if (isHeader) warn(`${file}: "spec" is not honoured: inputs are not filled in`);
    const content = isHeader ? second : first;
    if (content === undefined || (content.kind === "scalar" && content.value === null)) {
      throw pipelineError(start, "The file is empty");
    }
    const own = asMap(content, "the pipeline");
    const include = entry(own, "include");
    let base: YamlMap = { ...own, entries: new Map() };
    for (const one of include === undefined ? [] : include.kind === "list" ? include.items : [include]) {
      const path = localPath(one, warn);
      if (path === undefined) continue;
      if (chain.includes(path))
        throw pipelineError(one, `"include" runs in a circle: ${[...chain, path].join(" -> ")}`);
      included += 1;
      if (included > includeLimit) throw pipelineError(one, `More than ${includeLimit} files are included`);
      const local = source.readLocal(path);
      if (local === undefined) throw pipelineError(one, `The included file "${path}" is not in the project`);
      base = deepMerge(base, read(local, path, [...chain, path]));
    }
    return deepMerge(base, own);
  }
}

function localPath(node: YamlNode, warn: (message: string) => void): string | undefined {
  const leftOut = (what: string) => warn(`${node.file}:${node.line}: "include" of ${what} is left out`);
  if (node.kind === "map") {
    const local = entry(node, "local");
    if (local === undefined) {
      leftOut([...node.entries.keys()].map((key) => `"${key}"`).join(", "));
      return undefined;
    }
    for (const key of node.entries.keys()) {
      if (key !== "local") warn(`${node.file}:${node.line}: "include:${key}" is not honoured`);
    }
    return cleanPath(asText(local, '"include:local"'));
  }
  const text = asText(node, '"include"');
  if (/^https?:\/\//.test(text)) {
    leftOut("a remote file");
    return undefined;
  }
  return cleanPath(text);

  function cleanPath(path: string): string | undefined {
    if (/[*?$]/.test(path)) {
      leftOut(`the pattern "${path}"`);
      return undefined;
    }
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.includes("..")) throw pipelineError(node, `The included file "${path}" is not below the project`);
    return parts.join("/");
  }
}

function readStages(root: YamlMap): string[] {
  const node = entry(root, "stages");
  const named = node === undefined ? ["build", "test", "deploy"] : asTexts(node, '"stages"');
  return [".pre", ...named.filter((stage) => stage !== ".pre" && stage !== ".post"), ".post"];
}

function readDefaults(root: YamlMap): YamlMap | undefined {
  const node = entry(root, "default");
  const own = node === undefined ? undefined : asMap(node, '"default"');
  for (const [key, value] of own?.entries ?? []) {
    if (!defaultKeywords.some((keyword) => keyword === key)) {
      throw pipelineError(value, `"default" has an unknown keyword "${key}"`, nearest(key, defaultKeywords));
    }
  }
  const old = [...root.entries].filter(([key]) => oldDefaults.includes(key));
  if (own === undefined && old.length === 0) return undefined;
  return { ...(own ?? root), entries: new Map([...old, ...(own?.entries ?? [])]) };
}

function checkNames(jobs: readonly JobDefinition[], stages: readonly string[]): void {
  const names = jobs.map((job) => job.name);
  for (const job of jobs) {
    for (const need of job.needs ?? []) {
      const target = jobs.find((one) => one.name === need.job);
      if (target === undefined && need.optional) continue;
      check(job, need.job, "needs");
      if (target !== undefined && stages.indexOf(target.stage) > stages.indexOf(job.stage)) {
        throw pipelineError(job, `job "${job.name}" needs "${need.job}", which is in a later stage`);
      }
    }
    for (const dependency of job.dependencies ?? []) {
      check(job, dependency, "depends on");
      const target = jobs.find((one) => one.name === dependency);
      const inNeeds = job.needs?.some((need) => need.job === dependency) ?? false;
      if (target !== undefined && !inNeeds && stages.indexOf(target.stage) >= stages.indexOf(job.stage)) {
        throw pipelineError(job, `job "${job.name}" depends on "${dependency}", which is not in an earlier stage`);
      }
    }
  }
  checkCircle(jobs);

  function check(job: JobDefinition, name: string, verb: string): void {
    if (name !== job.name && names.includes(name)) return;
    if (name === job.name) throw pipelineError(job, `job "${job.name}" ${verb} itself`);
    throw pipelineError(job, `job "${job.name}" ${verb} "${name}", which is not there`, nearest(name, names));
  }
}

function checkCircle(jobs: readonly JobDefinition[]): void {
  const byName = new Map(jobs.map((job) => [job.name, job]));
  const safe = new Set<string>();
  function visit(job: JobDefinition, chain: readonly string[]): void {
    if (safe.has(job.name)) return;
    if (chain.includes(job.name)) {
      throw pipelineError(job, `"needs" runs in a circle: ${[...chain, job.name].join(" -> ")}`);
    }
    for (const need of job.needs ?? []) {
      const target = byName.get(need.job);
      if (target !== undefined) visit(target, [...chain, job.name]);
    }
    safe.add(job.name);
  }
  for (const job of jobs) visit(job, []);
}
