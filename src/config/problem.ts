/** A mistake in a configuration file, or something in it that is allowed and probably not meant. */
export interface Problem {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1, in UTF-16 units as editors do. */
  readonly column: number;
  /** As in `general.podman.image_allowlist[0]`; empty for a mistake that belongs to no key. */
  readonly path: string;
  /** What is wrong; goes on after the path and a colon. */
  readonly message: string;
  /** What would be right; goes on after "expected". */
  readonly expected?: string;
  /** The known key or value that was probably meant. */
  readonly suggestion?: string;
  /** The rule that found it, as docs/check.md names it; absent for what the schema and the parser find. */
  readonly rule?: string;
}

/** `FILE:LINE:COLUMN: key.path: what is wrong; expected …; did you mean "x"?` on one line, whatever the file holds. */
export function formatProblem(problem: Problem): string {
  return line(problem, "");
}

/** The same with the kind before the message, as compilers write it, and the rule at the end. */
export function formatFinding(problem: Problem, kind: "problem" | "warning"): string {
  return `${line(problem, `${kind}: `)}${problem.rule === undefined ? "" : ` [${problem.rule}]`}`;
}

function line({ file, line, column, path, message, expected, suggestion }: Problem, kind: string): string {
  const parts = [
    path === "" ? message : `${path}: ${message}`,
    ...(expected === undefined ? [] : [`expected ${expected}`]),
    ...(suggestion === undefined ? [] : [`did you mean "${suggestion}"?`]),
  ];
  return printable(`${file}:${line}:${column}: ${kind}${parts.join("; ")}`);
}

/** A value of the file for a message: quoted when it is text, never long. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return "a list";
  return value instanceof Date ? "a date" : "a table";
}

/** A key path in TOML's notation, with list positions counted from 0 in brackets. */
export function showPath(path: readonly (string | number)[]): string {
  let shown = "";
  for (const step of path) {
    if (typeof step === "number") shown += `[${step}]`;
    else shown += `${shown === "" ? "" : "."}${/^[\w-]{1,80}$/.test(step) ? step : show(step)}`;
  }
  return shown;
}

/** Line breaks, terminal sequences and characters that turn text around could forge a log: they are shown by number. */
function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
