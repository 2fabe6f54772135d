import { asMap, asTextOrTexts, entry, nearest } from "./read-node.ts";
import { pipelineError, type YamlMap, type YamlNode, type YamlReference } from "./yaml-tree.ts";

const extendLevels = 11;
const referenceLevels = 10;

/**
 * Merges two maps as `extends` and `include` do: maps into one another, anything else replaced by the overriding side.
 */
export function deepMerge(base: YamlMap, over: YamlMap): YamlMap {
  const entries = new Map(base.entries);
  for (const [key, value] of over.entries) {
    const below = entries.get(key);
    entries.set(key, below?.kind === "map" && value.kind === "map" ? deepMerge(below, value) : value);
  }
  return { ...over, entries };
}

/** Resolves `extends` of every job. Throws `pipeline_invalid` on an unknown base, a circle, or more than 11 levels. */
export function expandExtends(root: YamlMap): YamlMap {
  const done = new Map<string, YamlNode>();
  const levels = new Map<string, number>();
  function expanded(name: string, node: YamlNode, chain: readonly string[]): YamlNode {
    const memory = done.get(name);
    if (memory !== undefined) return memory;
    const parents = node.kind === "map" ? entry(node, "extends") : undefined;
    if (node.kind !== "map" || parents === undefined) {
      done.set(name, node);
      return node;
    }
    if (chain.includes(name)) {
      throw pipelineError(parents, `"extends" runs in a circle: ${[...chain, name].join(" -> ")}`);
    }
    if (chain.length > extendLevels) {
      throw pipelineError(parents, `"extends" is nested more than ${extendLevels} levels deep at "${name}"`);
    }
    let merged: YamlMap = { ...node, entries: new Map() };
    for (const parent of asTextOrTexts(parents, `job "${name}": "extends"`)) {
      const target = root.entries.get(parent);
      if (target === undefined) {
        throw pipelineError(
          parents,
          `job "${name}" extends "${parent}", which is not there`,
          nearest(parent, [...root.entries.keys()]),
        );
      }
      const base = asMap(expanded(parent, target, [...chain, name]), `"${parent}", which "${name}" extends,`);
      merged = deepMerge(merged, base);
      const level = Math.max(levels.get(name) ?? 0, (levels.get(parent) ?? 0) + 1);
      if (level >= extendLevels) {
        throw pipelineError(parents, `"extends" is nested more than ${extendLevels} levels deep at "${name}"`);
      }
      levels.set(name, level);
    }
    const result = deepMerge(merged, node);
    const entries = new Map(result.entries);
    entries.delete("extends");
    const own = { ...result, entries };
    done.set(name, own);
    return own;
  }
  const entries = new Map<string, YamlNode>();
  for (const [name, node] of root.entries) entries.set(name, expanded(name, node, []));
  return { ...root, entries };
}

/**
 * Puts in place what `!reference [job, key, …]` points at, in references up to ten levels deep.
 * Throws `pipeline_invalid` when the target is missing or the references run in a circle.
 */
export function resolveReferences(root: YamlMap): YamlMap {
  const done = new Map<YamlNode, YamlNode>();
  function resolved(node: YamlNode, chain: readonly YamlReference[]): YamlNode {
    if (node.kind === "scalar") return node;
    const memory = done.get(node);
    if (memory !== undefined) return memory;
    const result = resolvedNew(node, chain);
    done.set(node, result);
    return result;
  }
  function resolvedNew(node: Exclude<YamlNode, { kind: "scalar" }>, chain: readonly YamlReference[]): YamlNode {
    if (node.kind === "list") return { ...node, items: node.items.map((item) => resolved(item, chain)) };
    if (node.kind === "map") {
      return { ...node, entries: new Map([...node.entries].map(([key, value]) => [key, resolved(value, chain)])) };
    }
    const text = `!reference [${node.path.join(", ")}]`;
    if (chain.some((one) => one.path.join("\0") === node.path.join("\0"))) {
      throw pipelineError(node, `${text} is part of a circle of references`);
    }
    if (chain.length >= referenceLevels) {
      throw pipelineError(node, `${text} is nested more than ${referenceLevels} levels deep`);
    }
    let target: YamlNode = root;
    for (const key of node.path) {
      const below: YamlNode | undefined = target.kind === "map" ? target.entries.get(key) : undefined;
      if (below === undefined) {
        const keys: string[] = target.kind === "map" ? [...target.entries.keys()] : [];
        throw pipelineError(node, `${text} points at nothing: there is no "${key}"`, nearest(key, keys));
      }
      target = below;
    }
    return resolved(target, [...chain, node]);
  }
  const result = resolved(root, []);
  return asMap(result, "the pipeline");
}
