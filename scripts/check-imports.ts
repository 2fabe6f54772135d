import { globSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";

/**
 * Holds src/ to its one-way street (docs/architecture.md): who may import whom, which packages, and that nothing goes round
 * in a circle. `import type` counts: a type is knowledge, too.
 */

const ground = ["error", "log"];
const facts = ["account", "gitlab", "config", "process", ...ground];

/**
 * A room of src/ and the rooms that it may import from, beside itself. Rooms of the way of a job may look back, at what
 * the ones before them decided, and never ahead.
 */
const rooms: Readonly<Record<string, readonly string[]>> = {
  "main.ts": [
    "explain",
    "reap",
    "report",
    "check",
    "init",
    "try",
    "terminal",
    "exit.ts",
    "command",
    "account",
    "process",
    ...ground,
  ],
  "main-auth.ts": ["terminal", "exit.ts", "command", "downscope", "account", "process", ...ground],
  "exit.ts": ["system-log", ...ground],
  try: ["command", "terminal", ...facts],
  doctor: ["check", "seccomp", "auth", "podman", "workspace", "terminal", ...facts],
  report: ["record", "account", "terminal", "measure", ...ground],
  reap: ["command", "auth", "downscope", "podman", "mechanism", "workspace", "measure", "terminal", ...facts],
  explain: ["try", "seccomp", "command", "auth", "executor", "podman", "mechanism", "terminal", ...facts],
  init: ["check", "terminal", ...facts],
  check: ["auth", "seccomp", "system-log", "terminal", ...facts],
  command: [
    "doctor",
    "seccomp",
    "terminal",
    "auth",
    "record",
    "system-log",
    "downscope",
    "workspace",
    "mechanism",
    "podman",
    "executor",
    "measure",
    ...facts,
  ],
  executor: ["podman", "mechanism", "workspace", "measure", ...facts],
  podman: ["mechanism", "workspace", "measure", ...facts],
  mechanism: ["workspace", ...facts],
  workspace: facts,
  downscope: ["auth", "seccomp", ...facts],
  auth: ["seccomp", ...facts],
  seccomp: ["config", "process", ...ground],
  record: ["system-log", "gitlab", "config", "measure", ...ground],
  measure: [],
  "system-log": ["process", ...ground],
  account: ["process", ...ground],
  gitlab: ["process", ...ground],
  config: ["process", ...ground],
  process: ground,
  terminal: ["process", "error"],
  log: ["error"],
  error: [],
  start: [],
  "version.ts": [],
};

/** Files that every room may import. */
const everywhere = ["version.ts"];

/** A room and the packages that it may import; Node's own modules are free to all, but for `childProcess`. */
const packages: Readonly<Record<string, readonly string[]>> = {
  report: ["uplot"],
  check: ["smol-toml", "valibot"],
  init: ["valibot"],
  doctor: ["valibot", "yaml"],
  explain: ["valibot"],
  terminal: ["fastest-levenshtein"],
  try: ["yaml", "fastest-levenshtein", "valibot"],
  command: ["valibot"],
  downscope: ["valibot"],
  podman: ["valibot"],
  reap: ["valibot"],
  executor: ["shlex", "valibot"],
  mechanism: ["valibot", "re2js"],
  workspace: ["valibot"],
  auth: ["jose", "re2js", "valibot"],
  gitlab: ["valibot"],
  config: ["@valibot/to-json-schema", "fastest-levenshtein", "re2js", "smol-toml", "toml-eslint-parser", "valibot"],
};
const packagesOfTests = ["fast-check"];

/** Starting a process and changing identity each have one place, where a reader can see all of it. */
const childProcess = { module: /^(node:)?child_process$/, room: "process" };
const identity = { call: /\bprocess\??\.(setuid|setgid|seteuid|setegid|setgroups|initgroups)\b/g, room: "downscope" };

/** One import of a file: what is imported, and in which line. */
interface Import {
  readonly specifier: string;
  readonly line: number;
}

/** What is wrong, where. */
export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** Checks the files of src/, given as path below src/ and text. Nothing is read from disk. */
export function checkImports(files: ReadonlyMap<string, string>): Violation[] {
  const violations: Violation[] = [];
  const graph = new Map<string, { file: string; line: number }[]>();
  for (const [file, text] of files) {
    const code = withoutComments(text);
    const targets: { file: string; line: number }[] = [];
    for (const { specifier, line } of importsOf(code)) {
      const target = specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : undefined;
      const message = target === undefined ? refusePackage(file, specifier) : refuseFile(file, target, files);
      if (message !== undefined) violations.push({ file, line, message });
      if (target !== undefined && files.has(target)) targets.push({ file: target, line });
    }
    graph.set(file, targets);
    violations.push(...hiddenImports(file, code), ...identityChanges(file, code));
  }
  violations.push(...cycles(graph));
  return violations.toSorted((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}

/** The folder directly below src/ that a file is in; a file of src/ itself is its own room. */
function roomOf(file: string): string {
  return file.split("/")[0] ?? file;
}

function isTest(file: string): boolean {
  return file.endsWith(".test.ts");
}

function refuseFile(file: string, target: string, files: ReadonlyMap<string, string>): string | undefined {
  const room = roomOf(file);
  if (target.startsWith("../")) {
    if (isTest(file) && target.startsWith("../test/harness/")) return undefined;
    return target === "../package.json" && room === "version.ts"
      ? undefined
      : `imports ${target}, which is not in src/`;
  }
  if (!files.has(target)) return `imports ${target}, which is not there`;
  const other = roomOf(target);
  if (other === room || everywhere.includes(other)) return undefined;
  const allowed = rooms[room];
  if (allowed === undefined) return `is in ${room}, a room that scripts/check-imports.ts does not know`;
  return allowed.includes(other) ? undefined : `${room} may not import from ${other}`;
}

function refusePackage(file: string, specifier: string): string | undefined {
  const room = roomOf(file);
  if (childProcess.module.test(specifier)) {
    return room === childProcess.room ? undefined : `only ${childProcess.room}/ may import ${specifier}`;
  }
  if (specifier.startsWith("node:")) return undefined;
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const allowed = [...(packages[room] ?? []), ...(isTest(file) ? packagesOfTests : [])];
  return allowed.includes(name) ? undefined : `${room} may not import the package ${name}`;
}

/** `import x from "y"`, `export … from "y"`, `import "y"`, `import("y")`, with and without `type`, over several lines. */
function importsOf(code: string): Import[] {
  const forms = [
    /^[ \t]*(?:import|export)\b[^;"'`()=]*?\bfrom\s*["']([^"']+)["']/gm,
    /^[ \t]*import\s*["']([^"']+)["']/gm,
    /\bimport\s*\(\s*["']([^"']+)["']/g,
  ];
  return forms.flatMap((form) =>
    [...code.matchAll(form)].map(({ 0: match, 1: specifier = "", index }) => ({
      specifier,
      line: lineAt(code, index + match.lastIndexOf(specifier)),
    })),
  );
}

/** Ways to load code that this check could not follow. */
function hiddenImports(file: string, code: string): Violation[] {
  return [...code.matchAll(/\bimport\s*\((?!\s*["'][^"']+["']\s*[,)])|\brequire\s*\(|\bcreateRequire\b/g)].map(
    (match) => ({
      file,
      line: lineAt(code, match.index),
      message: `loads code in a way that cannot be checked: ${match[0].trim()}`,
    }),
  );
}

function identityChanges(file: string, code: string): Violation[] {
  if (roomOf(file) === identity.room) return [];
  return [...code.matchAll(identity.call)].map((match) => ({
    file,
    line: lineAt(code, match.index),
    message: `only ${identity.room}/ may call ${match[0]}`,
  }));
}

/** Each circle once, at the import that closes it. */
function cycles(graph: ReadonlyMap<string, readonly { file: string; line: number }[]>): Violation[] {
  const found: Violation[] = [];
  const finished = new Set<string>();
  function visit(file: string, path: readonly string[]): void {
    if (finished.has(file)) return;
    for (const target of graph.get(file) ?? []) {
      const start = [...path, file].indexOf(target.file);
      if (start === -1) visit(target.file, [...path, file]);
      else {
        const circle = [...[...path, file].slice(start), target.file].join(" ► ");
        found.push({ file, line: target.line, message: `goes round in a circle: ${circle}` });
      }
    }
    finished.add(file);
  }
  for (const file of graph.keys()) visit(file, []);
  return found;
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/**
 * Blanks comments, regular expressions and the text of templates (not the code in `${…}`), so that an example in a
 * docstring is no import. Strings stay, and every line stays where it is.
 */
function withoutComments(text: string): string {
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?<=(?:^|[(,=:[!&|?{};\n]|\breturn)\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/|[`{}]/y;
  const templateText = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{|$)/y;
  let code = "";
  // For each open brace: whether it began in a template, whose text goes on after it.
  const braces: boolean[] = [];
  function take(pattern: RegExp): string | undefined {
    pattern.lastIndex = code.length;
    return pattern.exec(text)?.[0];
  }
  function passTemplateText(): void {
    const found = take(templateText) ?? "";
    code += blank(found);
    if (found.endsWith("${")) braces.push(true);
  }
  while (code.length < text.length) {
    const found = take(token);
    if (found === undefined) code += text[code.length];
    else if (found === "`") {
      code += " ";
      passTemplateText();
    } else if (found === "{") {
      code += found;
      braces.push(false);
    } else if (found === "}") {
      const inTemplate = braces.pop() === true;
      code += inTemplate ? " " : found;
      if (inTemplate) passTemplateText();
    } else code += /^["']/.test(found) ? found : blank(found);
  }
  return code;
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, " ");
}

if (import.meta.main) {
  const src = join(dirname(import.meta.dirname), "src");
  const names = globSync("**/*.ts", { cwd: src }).toSorted();
  const violations = checkImports(new Map(names.map((name) => [name, readFileSync(join(src, name), "utf8")])));
  for (const { file, line, message } of violations) console.error(`src/${file}:${line}: ${message}`);
  console.log(`imports: ${names.length} files, ${violations.length} violations`);
  // No file at all is a check that looked in the wrong place.
  if (violations.length > 0 || names.length === 0) process.exitCode = 1;
}
