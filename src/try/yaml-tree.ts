import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseAllDocuments, type Tags } from "yaml";
import { JacamarError } from "../error/error.ts";

/** Where something stands in a pipeline's files; lines count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** A value of a pipeline file that still knows where it was written. `reference` is GitLab's `!reference [a, b]`. */
export type YamlNode = YamlScalar | YamlList | YamlMap | YamlReference;
export interface YamlScalar extends Place {
  readonly kind: "scalar";
  readonly value: string | number | boolean | null;
}
export interface YamlList extends Place {
  readonly kind: "list";
  readonly items: readonly YamlNode[];
}
export interface YamlMap extends Place {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, YamlNode>;
}
export interface YamlReference extends Place {
  readonly kind: "reference";
  readonly path: readonly string[];
}

/** The error for a mistake in a pipeline, with the file and line where it is. */
export function pipelineError(place: Place, message: string, hint?: string): JacamarError {
  const text = `${place.file}:${place.line}: ${message}`;
  return new JacamarError("pipeline_invalid", text, hint === undefined ? {} : { hint });
}

/**
 * Reads YAML as GitLab's server does (Ruby's Psych): YAML 1.1 scalars, anchors, and merge keys that win or lose by
 * their place in the map. Dates and binary values stay text. Returns the documents of the file.
 * Throws `pipeline_invalid` with file and line.
 */
export function readYaml(text: string, file: string, warn: (message: string) => void): YamlNode[] {
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, {
    version: "1.1",
    schema: "yaml-1.1",
    merge: false,
    uniqueKeys: false,
    intAsBigInt: true,
    prettyErrors: false,
    lineCounter,
    customTags: gitlabTags,
  });
  if (!Array.isArray(documents)) return [];
  return documents.map((document) => {
    const placeAt = (offset: number | undefined): Place => ({
      file,
      line: Math.max(1, lineCounter.linePos(offset ?? 0).line),
    });
    const [problem] = document.errors;
    if (problem !== undefined)
      throw pipelineError(placeAt(problem.pos[0]), `This is not valid YAML: ${problem.message}`);
    const known = new Map<unknown, YamlNode>();
    const open = new Set<unknown>();
    return convert(document.contents);

    function convert(node: unknown): YamlNode {
      const memory = known.get(node);
      if (memory !== undefined) return memory;
      const place = placeAt(offsetOf(node));
      if (isAlias(node)) {
        const target = node.resolve(document);
        if (target === undefined) throw pipelineError(place, `There is no anchor "&${node.source}"`);
        return convert(target);
      }
      if (open.has(node)) throw pipelineError(place, "An anchor contains itself");
      open.add(node);
      const result = convertNew(node, place);
      open.delete(node);
      known.set(node, result);
      return result;
    }

    function convertNew(node: unknown, place: Place): YamlNode {
      if (isSeq(node)) {
        const items = node.items.map(convert);
        if (node.tag !== referenceTag) return { kind: "list", ...place, items };
        const path = items.map((item) => (item.kind === "scalar" && item.value !== null ? String(item.value) : ""));
        if (path.length === 0 || path.includes("")) throw pipelineError(place, "A !reference needs a list of names");
        return { kind: "reference", ...place, path };
      }
      if (isMap(node)) return convertMap(node.items, place);
      if (isScalar(node)) return { kind: "scalar", ...place, value: scalarValue(node.value) };
      return { kind: "scalar", ...place, value: null };
    }

    function convertMap(items: readonly unknown[], place: Place): YamlMap {
      const entries = new Map<string, YamlNode>();
      const own = new Set<string>();
      for (const item of items) {
        if (!isPair(item)) continue;
        const keyPlace = placeAt(offsetOf(item.key));
        const key = isScalar(item.key) ? (item.key.source ?? String(item.key.value)) : undefined;
        if (key === undefined) throw pipelineError(keyPlace, "A key must be plain text");
        const value = convert(item.value);
        if (key === "<<" && isScalar(item.key) && item.key.type === "PLAIN") {
          for (const [name, merged] of mergeSources(value, keyPlace)) entries.set(name, merged);
          continue;
        }
        if (own.has(key)) warn(`${file}:${keyPlace.line}: "${key}" is given twice; the last one counts`);
        own.add(key);
        entries.set(key, { ...value, ...keyPlace });
      }
      return { kind: "map", ...place, entries };
    }
  });
}

/** What a `<<` brings in. Of a list, the first map wins; a later key of the map itself always wins. */
function mergeSources(value: YamlNode, place: Place): Iterable<[string, YamlNode]> {
  if (value.kind === "map") return value.entries;
  if (value.kind !== "list") throw pipelineError(place, "The merge key << needs a map or a list of maps");
  const merged = new Map<string, YamlNode>();
  for (const item of value.items.toReversed()) {
    if (item.kind !== "map") throw pipelineError(item, "The merge key << needs a map or a list of maps");
    for (const [name, one] of item.entries) merged.set(name, one);
  }
  return merged;
}

function scalarValue(value: unknown): string | number | boolean | null {
  if (typeof value === "bigint") {
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
      ? Number(value)
      : value.toString();
  }
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return null;
}

function offsetOf(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node) || !Array.isArray(node.range)) return undefined;
  const [start] = node.range as readonly unknown[];
  return typeof start === "number" ? start : undefined;
}

const referenceTag = "!reference";
const textOnly = new Set(
  ["bool", "timestamp", "binary", "merge", "omap", "pairs", "set"].map((name) => `tag:yaml.org,2002:${name}`),
);

/** YAML 1.1 without what Ruby reads differently. */
function gitlabTags(tags: Tags): Tags {
  const kept: Tags = tags.filter((tag) => typeof tag === "string" || !textOnly.has(tag.tag));
  return [
    ...kept.map((tag) => {
      if (typeof tag === "string" || tag.tag !== "tag:yaml.org,2002:float" || tag.collection !== undefined) return tag;
      return {
        ...tag,
        // `1.0` must come out as "1.0" when it becomes a variable.
        resolve(this: void, text: string) {
          const number = Number(text.replaceAll("_", ""));
          if (Number.isNaN(number)) return text;
          return Number.isInteger(number) && text.includes(".") && Math.abs(number) < 1e16 ? number.toFixed(1) : number;
        },
      };
    }),
    {
      tag: "tag:yaml.org,2002:bool",
      default: true,
      test: /^(?:yes|true|on|no|false|off)$/i,
      resolve: (text: string) => /^(?:yes|true|on)$/i.test(text),
    },
    { tag: referenceTag, collection: "seq" },
  ];
}
