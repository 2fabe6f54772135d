/** Which ends of a name a regular expression leaves open. */
export interface OpenEnds {
  readonly start: boolean;
  readonly end: boolean;
}

/**
 * Which ends of a name an expression leaves open, judged from its text: an alternative at the top must begin with `^`
 * (or `\A`) and end with `$` (or `\z`). It can call an unusual anchored expression open, so it is for warnings only.
 */
export function openEnds(source: string): OpenEnds {
  const { alternatives, wrapped } = split(source.replace(/^(?:\(\?[imsU]+\))+/, ""));
  if (wrapped !== undefined) return openEnds(wrapped);
  return {
    start: alternatives.some((one) => !/^(?:\(\?[imsU]+\))*(?:\^|\\A)/.test(one) && !isClosed(one, "start")),
    end: alternatives.some((one) => !/(?:^|[^\\])(?:\\\\)*(?:\$|\\z)$/.test(one) && !isClosed(one, "end")),
  };
}

/** An alternative may begin or end with a group of which every alternative is anchored: `(^a|^b)c$`. */
function isClosed(alternative: string, end: keyof OpenEnds): boolean {
  const { groups } = split(alternative);
  const group =
    end === "start" ? groups.find(([from]) => from === 0) : groups.find(([, to]) => to === alternative.length);
  if (group === undefined || (group[0] === 0 && group[1] === alternative.length)) return false;
  return !openEnds(alternative.slice(...group))[end];
}

interface Parts {
  readonly alternatives: readonly string[];
  /** From and to of each group at the top. */
  readonly groups: readonly (readonly [number, number])[];
  /** What is in the group, when the whole is one. */
  readonly wrapped: string | undefined;
}

function split(source: string): Parts {
  const alternatives: string[] = [];
  const groups: [number, number][] = [];
  let depth = 0;
  let from = 0;
  let opened = 0;
  // Escapes, literal stretches (\Q…\E) and character classes are stepped over: nothing in them is an operator.
  for (const match of source.matchAll(/\\Q[^]*?(?:\\E|$)|\\[^]|\[\^?\]?(?:\\[^]|\[:\w+:\]|[^\]\\])*\]|[()|]/g)) {
    if (match[0] === "(" && depth++ === 0) opened = match.index;
    if (match[0] === ")" && --depth === 0) groups.push([opened, match.index + 1]);
    if (match[0] === "|" && depth === 0) {
      alternatives.push(source.slice(from, match.index));
      from = match.index + 1;
    }
  }
  const whole = groups[0]?.[0] === 0 && groups[0][1] === source.length;
  return {
    alternatives: [...alternatives, source.slice(from)],
    groups,
    wrapped: whole ? source.slice(1, -1).replace(/^\?(?:P?<\w+>|[imsU-]*:)/, "") : undefined,
  };
}
