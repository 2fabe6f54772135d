import { asBoolean, asMap, asPlainValue, checkKeys, entry } from "./read-node.ts";
import { type Variable, variable } from "./variables.ts";
import { pipelineError, type YamlNode } from "./yaml-tree.ts";

/** Variables of the pipeline or of a job: values, or maps with `value` and `expand`. */
export function readVariables(node: YamlNode, what: string): Variable[] {
  return [...asMap(node, what).entries].map(([key, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) {
      throw pipelineError(value, `${what}: "${key}" cannot be the name of a variable`);
    }
    if (value.kind !== "map") return variable(key, asPlainValue(value, `${what}: "${key}"`));
    checkKeys(value, `${what}: "${key}"`, ["value", "description", "options", "expand"]);
    const given = entry(value, "value");
    const expand = entry(value, "expand");
    return variable(key, given === undefined ? "" : asPlainValue(given, `${what}: "${key}": "value"`), {
      raw: expand !== undefined && !asBoolean(expand, `${what}: "${key}": "expand"`),
    });
  });
}
