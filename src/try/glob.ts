/**
 * Turns a path pattern of `artifacts:paths` or `cache:paths` into the POSIX extended regular expressions that match the
 * paths it names, relative to the project. The patterns are those of GitLab Runner (doublestar): `*` and `?` stop at
 * `/`, `**` as a whole part crosses it, `[…]`, `{a,b}`, and a backslash takes the next character as it is.
 * The text also fits between two slashes in awk. Undefined when the pattern is broken.
 */
export function globToRegex(pattern: string): string | undefined {
  const alternatives = expandBraces(pattern);
  if (alternatives === undefined) return undefined;
  const parts = alternatives.map(alternativeToRegex);
  if (parts.some((part) => part === undefined)) return undefined;
  return `(${parts.join("|")})`;
}

/**
 * The pattern relative to the project directory, without `.` and trailing slashes, as the runner sees it; undefined when
 * it points outside.
 */
export function relativePattern(pattern: string, projectDir: string): string | undefined {
  const meta = pattern.search(/[*?[{]/);
  const slash = meta < 0 ? pattern.length : pattern.lastIndexOf("/", meta);
  const base = pattern.slice(0, Math.max(slash, 0));
  const glob = pattern.slice(Math.max(slash, 0)).replace(/^\/+/, "");
  const isAbsolute = pattern.startsWith("/");
  const parts: string[] = [];
  for (const part of (isAbsolute ? base : `${projectDir}/${base}`).split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  const project = projectDir.split("/").filter((part) => part !== "");
  if (project.some((part, index) => parts[index] !== part)) return undefined;
  const globParts = glob.split("/").filter((part) => part !== "" && part !== ".");
  if (globParts.includes("..")) return undefined;
  const relative = [...parts.slice(project.length), ...globParts].join("/");
  return relative === "" ? "." : relative;
}

function expandBraces(pattern: string): string[] | undefined {
  const open = findOutside(pattern, "{", 0);
  if (open < 0) return findOutside(pattern, "}", 0) < 0 ? [pattern] : undefined;
  let depth = 0;
  const cuts = [open];
  for (let at = open; at < pattern.length; at += 1) {
    const character = pattern[at];
    if (character === "\\") at += 1;
    else if (character === "{") depth += 1;
    else if (character === "," && depth === 1) cuts.push(at);
    else if (character === "}") {
      depth -= 1;
      if (depth > 0) continue;
      cuts.push(at);
      const result: string[] = [];
      for (let cut = 0; cut + 1 < cuts.length; cut += 1) {
        const middle = pattern.slice((cuts[cut] ?? 0) + 1, cuts[cut + 1]);
        const rest = expandBraces(pattern.slice(0, open) + middle + pattern.slice(at + 1));
        if (rest === undefined) return undefined;
        result.push(...rest);
        if (result.length > 1000) return undefined;
      }
      return result;
    }
  }
  return undefined;
}

function findOutside(pattern: string, wanted: string, from: number): number {
  for (let at = from; at < pattern.length; at += 1) {
    if (pattern[at] === "\\") at += 1;
    else if (pattern[at] === wanted) return at;
  }
  return -1;
}

function alternativeToRegex(pattern: string): string | undefined {
  const parts = pattern.split("/").filter((part) => part !== "");
  let regex = "";
  let needsSlash = false;
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    if (part === "**") {
      if (isLast) regex += needsSlash ? "(\\/.*)?" : ".*";
      else {
        regex += needsSlash ? "\\/(.*\\/)?" : "(.*\\/)?";
        needsSlash = false;
      }
      continue;
    }
    const one = partToRegex(part);
    if (one === undefined) return undefined;
    regex += (needsSlash ? "\\/" : "") + one;
    needsSlash = true;
  }
  return regex;
}

// awk works on bytes here, so that one character outside ASCII is two bytes or more.
const anyCharacter = "([^ -~\\/][^ -~\\/]+|[^\\/])";

function partToRegex(part: string): string | undefined {
  let regex = "";
  for (let at = 0; at < part.length; at += 1) {
    const character = part.charAt(at);
    if (character === "*") {
      while (part.charAt(at + 1) === "*") at += 1;
      regex += "[^\\/]*";
    } else if (character === "?") regex += anyCharacter;
    else if (character === "[") {
      const end = part.indexOf("]", at + 2);
      if (end < 0) return undefined;
      regex += classToRegex(part.slice(at + 1, end));
      at = end;
    } else if (character === "\\") {
      at += 1;
      if (at >= part.length) return undefined;
      regex += quoted(part.charAt(at));
    } else regex += quoted(character);
  }
  return regex;
}

function classToRegex(inside: string): string {
  const negated = /^[!^]/.test(inside);
  const body = (negated ? inside.slice(1) : inside)
    .replaceAll(/\\(.)/g, "$1")
    .replaceAll(/[\\\]^[]/g, (character) => `\\${character}`);
  return negated ? `[^${body}\\/]` : `[${body}]`;
}

function quoted(character: string): string {
  if (/[.*+?(){}|[$]/.test(character)) return `[${character}]`;
  return /[\\^\]/]/.test(character) ? `\\${character}` : character;
}
