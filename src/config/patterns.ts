import { RE2JS, RE2JSException } from "re2js";
import { JacamarError } from "../error/error.ts";

/** A compiled regular expression of the administrator. */
export type Pattern = RE2JS;

/**
 * Compiles a regular expression in RE2's syntax, which is Go's. Matching takes time linear in the length of the
 * candidate, whatever the pattern: there is no backtracking, and what would need it (back references, look-arounds) is
 * refused. Throws `config_invalid` for a pattern that is none, so that nothing can go on without it.
 */
export function compilePattern(source: string): Pattern {
  try {
    return RE2JS.compile(source);
  } catch (error) {
    const reason =
      error instanceof RE2JSException
        ? error.message.replace(/^error parsing regexp: /, "")
        : "the engine cannot compile it";
    throw new JacamarError("config_invalid", reason, {
      hint: "The syntax is RE2's: https://github.com/google/re2/wiki/Syntax",
      cause: error,
    });
  }
}

/**
 * Whether any pattern is found in any candidate. A pattern without anchors is found anywhere, as in Go's `MatchString`.
 * No pattern matches nothing.
 */
export function matchesAny(patterns: readonly Pattern[], candidates: readonly string[]): boolean {
  return patterns.some((pattern) => candidates.some((candidate) => pattern.matcher(candidate).find()));
}
