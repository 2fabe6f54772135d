import { asPlainValue, asText, asTextOrTexts, asMap, checkKeys, entry } from "./read-node.ts";
import { readVariables } from "./read-variables.ts";
import type { Variable } from "./variables.ts";
import { pipelineError, type YamlNode } from "./yaml-tree.ts";

/** A container image, or a service, as the job names it; variables in the name are not expanded yet. */
export interface ImageDefinition {
  readonly name: string;
  readonly alias?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly variables?: readonly Variable[];
  readonly pullPolicy?: readonly string[];
  readonly platform: string;
  readonly user: string;
  readonly kubernetesUser: string;
}

/** Reads an image or a service: a name, or a map with more. Throws `pipeline_invalid`. */
export function readImage(node: YamlNode, what: string): ImageDefinition {
  if (node.kind !== "map") return { name: asText(node, what), platform: "", user: "", kubernetesUser: "" };
  checkKeys(node, what, [
    "name",
    "entrypoint",
    "pull_policy",
    "docker",
    "kubernetes",
    "ports",
    "alias",
    "command",
    "variables",
  ]);
  const name = entry(node, "name");
  if (name === undefined) throw pipelineError(node, `${what} has no "name"`);
  const docker = entry(node, "docker");
  const kubernetes = entry(node, "kubernetes");
  const option = (options: YamlNode | undefined, key: string): string => {
    const value = options === undefined ? undefined : entry(asMap(options, what), key);
    return value === undefined ? "" : asPlainValue(value, `${what}: "${key}"`);
  };
  const optional = <T>(key: string, reader: (value: YamlNode, label: string) => T) => {
    const value = entry(node, key);
    return value === undefined ? undefined : reader(value, `${what}: "${key}"`);
  };
  const [alias, entrypoint, command] = [
    optional("alias", asText),
    optional("entrypoint", asTextOrTexts),
    optional("command", asTextOrTexts),
  ];
  const variables = optional("variables", readVariables);
  const pullPolicy = optional("pull_policy", asTextOrTexts);
  return {
    name: asText(name, `${what}: "name"`),
    ...(alias === undefined ? {} : { alias }),
    ...(entrypoint === undefined ? {} : { entrypoint }),
    ...(command === undefined ? {} : { command }),
    ...(variables === undefined ? {} : { variables }),
    ...(pullPolicy === undefined ? {} : { pullPolicy }),
    platform: option(docker, "platform"),
    user: option(docker, "user"),
    kubernetesUser: option(kubernetes, "user"),
  };
}
