import { asMap, asText, asTexts, checkKeys, entry } from "./read-node.ts";
import { pipelineError, type YamlNode } from "./yaml-tree.ts";

/** An ID token that a job asks for: the variable that gets it, and whom it is for. */
export interface IdTokenDefinition {
  readonly name: string;
  /** One text or several, as the pipeline has it; variables in it are not expanded yet. */
  readonly audience: string | readonly string[];
}

/** Reads `id_tokens`: names of variables, each with an `aud`. Throws `pipeline_invalid`. */
export function readIdTokens(node: YamlNode, what: string): IdTokenDefinition[] {
  return [...asMap(node, what).entries].map(([name, value]) => {
    const label = `${what}: "${name}"`;
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw pipelineError(value, `${label} cannot be the name of a variable`);
    }
    const token = asMap(value, label);
    checkKeys(token, label, ["aud"]);
    const audience = entry(token, "aud");
    if (audience === undefined) throw pipelineError(value, `${label} has no "aud", which says whom the token is for`);
    const texts = audience.kind === "list" ? asTexts(audience, `${label}: "aud"`) : asText(audience, `${label}: "aud"`);
    if (texts.length === 0) throw pipelineError(audience, `${label}: "aud" is empty`);
    return { name, audience: texts };
  });
}
