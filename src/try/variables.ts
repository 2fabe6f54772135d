/** One CI variable, in the shape in which GitLab sends it to the runner. */
export interface Variable {
  readonly key: string;
  /** The value; of a file variable, the file's content. */
  readonly value: string;
  readonly public: boolean;
  readonly file: boolean;
  readonly masked: boolean;
  /** The value is taken as it stands: nothing in it is expanded. */
  readonly raw: boolean;
}

/** A plain, public variable. */
export function variable(key: string, value: string, more: Partial<Omit<Variable, "key" | "value">> = {}): Variable {
  return { key, value, public: true, file: false, masked: false, raw: false, ...more };
}

/** The variable's value, or "" when there is none. Of several with one name the last counts. */
export function valueOf(variables: readonly Variable[], key: string): string {
  return variables.findLast((one) => one.key === key)?.value ?? "";
}

/**
 * Expands what the variables say about each other, as GitLab's server does before it hands out a job: in order of
 * dependence, leaving alone what is not defined, `$$`, and references to file variables and to raw ones, which the
 * runner resolves. References that run in a circle stay as they are.
 */
export function expandAmongThemselves(variables: readonly Variable[]): Variable[] {
  const byKey = new Map(variables.map((one) => [one.key, one]));
  const done = new Map<string, string>();
  const open = new Set<string>();
  function expanded(one: Variable): string {
    const known = done.get(one.key);
    if (known !== undefined) return known;
    open.add(one.key);
    const value = one.value.replaceAll(reference, (match: string, ...groups: unknown[]) => {
      const key = groups.slice(0, 3).find((group) => typeof group === "string");
      const target = typeof key === "string" ? byKey.get(key) : undefined;
      if (target === undefined || target.file || target.raw || open.has(target.key)) return match;
      return expanded(target);
    });
    open.delete(one.key);
    // A value that was met in the middle of a circle is not final for the others.
    if (open.size === 0) done.set(one.key, value);
    return value;
  }
  return variables.map((one) => {
    if (one.raw || byKey.get(one.key) !== one) return one;
    return { ...one, value: expanded(one) };
  });
}

const reference = /\$\$|%%|\$([a-zA-Z_][a-zA-Z0-9_]*)|\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}|%([a-zA-Z_][a-zA-Z0-9_]*)%/g;

/**
 * Expands `$X` and `${X}` as GitLab Runner does: `$$` becomes `$`, unknown names and the shell's special parameters
 * become nothing, and a file variable becomes the path of its file.
 */
export function expandValue(text: string, variables: readonly Variable[], temporaryDir: string): string {
  let result = "";
  let at = 0;
  for (;;) {
    const dollar = text.indexOf("$", at);
    if (dollar < 0 || dollar === text.length - 1) return result + text.slice(at);
    result += text.slice(at, dollar);
    const { name, length } = shellName(text.slice(dollar + 1));
    if (name !== "") result += lookUp(name);
    else if (length === 0) result += "$";
    at = dollar + 1 + length;
  }

  function lookUp(name: string): string {
    if (name === "$") return "$";
    const found = variables.findLast((one) => one.key === name);
    if (found === undefined) return "";
    return found.file ? `${temporaryDir}/${found.key}` : found.value;
  }
}

/** The name after a `$`, and how many characters it takes; no name but a length means broken syntax, which vanishes. */
function shellName(text: string): { name: string; length: number } {
  if (text.startsWith("{")) {
    const end = text.indexOf("}");
    if (end < 0) return { name: "", length: 1 };
    return { name: text.slice(1, end), length: end + 1 };
  }
  if (/^[*#$@!?\-0-9]/.test(text)) return { name: text.slice(0, 1), length: 1 };
  const name = /^[A-Za-z0-9_]*/.exec(text)?.[0] ?? "";
  return { name, length: name.length };
}

/** Expands all values as the runner does before it uses them: each once, against all of them. */
export function expandAll(variables: readonly Variable[], temporaryDir: string): Variable[] {
  const quick = new Map(variables.map((one) => [one.key, one]));
  const unique = [...quick.values()];
  return variables.map((one) =>
    one.raw || !one.value.includes("$") ? one : { ...one, value: expandValue(one.value, unique, temporaryDir) },
  );
}
