import { closest, distance } from "fastest-levenshtein";
import { pipelineError, type YamlList, type YamlMap, type YamlNode } from "./yaml-tree.ts";

/** The entry, or undefined when it is missing or null: GitLab takes null for "not given". */
export function entry(map: YamlMap, key: string): YamlNode | undefined {
  const node = map.entries.get(key);
  return node === undefined || (node.kind === "scalar" && node.value === null) ? undefined : node;
}

/** `what` names the value in the message, as in `job "x": "image"`. All of these throw `pipeline_invalid`. */
export function asMap(node: YamlNode, what: string): YamlMap {
  if (node.kind === "map") return node;
  throw pipelineError(node, `${what} must be a map, not ${describe(node)}`);
}

export function asList(node: YamlNode, what: string): YamlList {
  if (node.kind === "list") return node;
  throw pipelineError(node, `${what} must be a list, not ${describe(node)}`);
}

export function asText(node: YamlNode, what: string): string {
  if (node.kind === "scalar" && typeof node.value === "string") return node.value;
  throw pipelineError(node, `${what} must be a string, not ${describe(node)}`);
}

/** A string as it stands, or a number or a boolean written out. */
export function asPlainValue(node: YamlNode, what: string): string {
  if (node.kind === "scalar") return node.value === null ? "" : String(node.value);
  throw pipelineError(node, `${what} must be a string or a number, not ${describe(node)}`);
}

export function asBoolean(node: YamlNode, what: string): boolean {
  if (node.kind === "scalar" && typeof node.value === "boolean") return node.value;
  throw pipelineError(node, `${what} must be true or false, not ${describe(node)}`);
}

export function asInteger(node: YamlNode, what: string): number {
  if (node.kind === "scalar" && typeof node.value === "number" && Number.isInteger(node.value)) return node.value;
  throw pipelineError(node, `${what} must be a whole number, not ${describe(node)}`);
}

export function asTexts(node: YamlNode, what: string): string[] {
  return asList(node, what).items.map((item) => asText(item, `each entry of ${what}`));
}

/** One string or a list of strings. */
export function asTextOrTexts(node: YamlNode, what: string): string[] {
  return node.kind === "list" ? asTexts(node, what) : [asText(node, what)];
}

export function asOneOf<const T extends string>(node: YamlNode, what: string, allowed: readonly T[]): T {
  const text = asText(node, what);
  const found = allowed.find((one) => one === text);
  if (found !== undefined) return found;
  throw pipelineError(node, `${what} is "${text}", but must be one of ${allowed.join(", ")}`, nearest(text, allowed));
}

/** Commands: a string, or strings in lists that may be nested up to ten levels deep. */
export function asCommands(node: YamlNode, what: string, depth = 0): string[] {
  if (node.kind === "list") {
    if (depth >= 10) throw pipelineError(node, `${what} is nested more than 10 levels deep`);
    const commands = node.items.flatMap((item) => asCommands(item, what, depth + 1));
    if (commands.length > 100_000) throw pipelineError(node, `${what} has more than 100,000 lines`);
    return commands;
  }
  if (node.kind === "scalar" && typeof node.value === "string") return [node.value];
  const hint =
    node.kind === "map"
      ? 'A colon followed by a space makes YAML read a map: put the whole command in quotes, or after "- |" on a line of its own'
      : node.kind === "scalar" && node.value !== null
        ? "Put it in quotes: as it stands, YAML reads a number or a truth value"
        : undefined;
  throw pipelineError(node, `${what} must be a string or a list of strings, not ${describe(node)}`, hint);
}

/** "Did you mean …" for a name that is not known, or undefined when none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const best = closest(name, known);
  return distance(name, best) <= Math.max(2, Math.floor(name.length / 3)) ? `Did you mean "${best}"?` : undefined;
}

function describe(node: YamlNode): string {
  if (node.kind === "map") return "a map";
  if (node.kind === "list") return "a list";
  if (node.kind === "reference") return "a reference";
  return node.value === null ? "empty" : `"${String(node.value).slice(0, 60)}"`;
}

/** Refuses keys that a map may not have. */
export function checkKeys(map: YamlMap, what: string, known: readonly string[]): void {
  for (const [key, node] of map.entries) {
    if (!known.includes(key)) throw pipelineError(node, `${what} has an unknown key "${key}"`, nearest(key, known));
  }
}
