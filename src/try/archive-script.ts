import { globToRegex, relativePattern } from "./glob.ts";
import type { ScriptBody } from "./script.ts";
import { shellEscape } from "./shell-escape.ts";

/** The files that an artifact or a cache is made of. */
export interface FileSelection {
  readonly paths: readonly string[];
  readonly exclude: readonly string[];
  readonly untracked: boolean;
}

/** The programs that making an archive needs. */
export const archivePrograms = ["tar", "gzip", "find", "awk", "sort", "sed"] as const;

/**
 * Writes the paths that the selection names into `listFile`, one a line, and says in the job log what each pattern
 * found, in the runner's words. Patterns mean what they mean to the runner; nothing outside the project is taken.
 * Files whose names hold a line break are left out.
 */
export function writeFileList(body: ScriptBody, selection: FileSelection, projectDir: string, listFile: string): void {
  const rules: { text: string; regex: string }[] = [];
  for (const path of selection.paths) {
    const relative = relativePattern(path, projectDir);
    const regex = relative === undefined ? undefined : globToRegex(relative);
    if (relative === undefined)
      body.line(say(`WARNING: processPath: artifact path is not a subpath of project directory: ${path}`));
    else if (regex === undefined) body.line(say(`WARNING: ${path}: this is not a valid pattern`));
    else rules.push({ text: path, regex });
  }
  const excludes: { text: string; regex: string }[] = [];
  for (const path of selection.exclude) {
    const relative = relativePattern(path, projectDir);
    const regex = relative === undefined ? undefined : globToRegex(relative);
    if (regex === undefined) body.line(say(`WARNING: exclude ${path}: this is not a pattern inside the project`));
    else excludes.push({ text: path, regex });
  }
  const untracked = selection.untracked
    ? ` ; git -c core.quotePath=false ls-files -o -z | tr '\\n\\000' '\\001\\n' | sed 's/^/U/'`
    : "";
  // A directory that the job may not read is left out, as the runner does.
  body.line(
    `{ { find . ! -name ${shellEscape("*\n*")} -print 2>/dev/null || true; } | sed 's/^\\.\\///; s/^/F/'${untracked}; } |` +
      ` LC_ALL=C awk ${shellEscape(awkProgram(rules, excludes, selection.untracked, projectDir))}` +
      ` | LC_ALL=C sort -u > ${shellEscape(listFile)}`,
  );
}

/** The command that packs the files of a list to standard output, without following symbolic links. */
export function packCommand(listFile: string): string {
  // GNU tar would read a backslash in the list as an escape; others do not know the option.
  return (
    `tar -c -f - --no-recursion $(case "$(tar --version 2>/dev/null)" in *"GNU tar"*) echo --no-unquote;; esac)` +
    ` -T ${shellEscape(listFile)} | gzip -c`
  );
}

function say(text: string): string {
  return `echo ${shellEscape(text)} >&2`;
}

interface Rule {
  readonly text: string;
  readonly regex: string;
}

/**
 * Reads `F<path>` and `U<path>` lines, prints `./<path>` for those that are wanted. The counts are the runner's: a path
 * counts once for each of its parents, itself included, that the pattern names.
 */
function awkProgram(rules: readonly Rule[], excludes: readonly Rule[], untracked: boolean, projectDir: string): string {
  const lines = ["function excluded(path, times) {"];
  for (const [index, rule] of excludes.entries()) {
    lines.push(`  if (path ~ /^${rule.regex}$/) { e${index} += times; return 1 }`);
  }
  lines.push("  return 0", "}", "function wanted(path) {", '  if (path != ".") print "./" path', "}", "{");
  lines.push("  kind = substr($0, 1, 1); path = substr($0, 2)");
  lines.push('  if (kind == "U") { if (!excluded(path, 1)) { u++; wanted(path) } ; next }');
  for (const [index, rule] of rules.entries()) {
    // `.` names the project itself and so everything in it.
    const everything = rule.regex === "([.])";
    const below = everything ? "/^.*$/" : `/^${rule.regex}(\\/.*)?$/`;
    lines.push(`  if (path ~ ${below}) {`);
    if (everything) lines.push("    n = 1");
    else {
      // `**` also names the project itself.
      lines.push(`    n = ${rule.regex === "(.*)" ? '(path == ".") ? 0 : 1' : "0"}`);
      lines.push('    count = split(path, part, "/"); head = ""');
      lines.push("    for (i = 1; i <= count; i++) {");
      lines.push('      head = (i == 1) ? part[1] : head "/" part[i]');
      lines.push(`      if (head ~ /^${rule.regex}$/) n++`);
      lines.push("    }");
    }
    lines.push(`    if (n > 0 && !excluded(path, n)) { f${index} += n; wanted(path) }`);
    lines.push("  }");
  }
  lines.push("}", "END {", '  log_to = "cat >&2"');
  for (const [index, rule] of rules.entries()) {
    const found = awkString(`${rule.text}: found `);
    const none = awkString(
      `WARNING: ${rule.text}: no matching files. Ensure that the artifact path is relative to the working directory (${projectDir})`,
    );
    lines.push(
      `  if (f${index} > 0) print ${found} f${index} " matching artifact files and directories" | log_to; else print ${none} | log_to`,
    );
  }
  if (untracked) {
    lines.push(
      '  if (u > 0) print "untracked: found " u " files" | log_to; else print "WARNING: untracked: no files" | log_to',
    );
  }
  for (const [index, rule] of excludes.entries()) {
    lines.push(`  if (e${index} > 0) print ${awkString(`${rule.text}: excluded `)} e${index} " files" | log_to`);
  }
  lines.push("  close(log_to)", "}", "");
  return lines.join("\n");
}

function awkString(text: string): string {
  const escaped = text.replaceAll(/[\\"]/g, (character) => `\\${character}`).replaceAll("\n", "\\n");
  return `"${escaped}"`;
}
