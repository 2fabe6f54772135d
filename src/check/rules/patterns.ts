import type { Path } from "../../config/inspect.ts";
import { show } from "../../config/problem.ts";
import { JacamarError } from "../../error/error.ts";
import { lookAlikes } from "../look-alikes.ts";
import { exampleOf } from "../pattern-example.ts";
import type { Finding, Rule } from "../rule.ts";

export const widePattern: Rule = {
  name: "pattern-wide",
  severity: "warning",
  means:
    "An expression of `image_allowlist` also matches the name in the message, which another registry or group could have.",
  why: "A dot without a backslash stands for any character, and `.*` also goes on with the word before it. The name was tried with the engine that jobs use.",
  remedy:
    "Put a backslash before each dot that is one, and end a host or group with `/`: `'^registry\\.example\\.com/group/.*$'`.",
  find: async ({ config }) => {
    const sources = config.general.podman.image_allowlist ?? [];
    const findings = await Promise.all(sources.map((source, index) => findIn(source, index)));
    return findings.flat();
  },
};

async function findIn(source: string, index: number): Promise<Finding[]> {
  const { compilePattern, matchesAny } = await import("../../config/patterns.ts");
  const example = exampleOf(source);
  if (example === undefined) return [];
  try {
    const pattern = compilePattern(source);
    if (!matchesAny([pattern], [example.text])) return [];
    const first = lookAlikes(example).find(({ name }) => matchesAny([pattern], [name]));
    if (first === undefined) return [];
    const path: Path = ["general", "podman", "image_allowlist", index];
    return [{ path, at: "value", message: `${show(source)} also matches ${show(first.name)}: ${first.because}` }];
  } catch (error) {
    // An expression that cannot be compiled is a problem of its own.
    if (error instanceof JacamarError) return [];
    throw error;
  }
}
