import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

/** A test that failed or was skipped, and where it stands. */
interface Entry {
  readonly title: string;
  readonly place: string;
  readonly text: string;
}

/** What is known of one test file so far. */
interface FileResult {
  passed: number;
  failed: Entry[];
  skipped: Entry[];
  /** What the file's tests printed themselves; shown only when one of them failed. */
  output: string;
}

type Result = Extract<TestEvent, { type: "test:pass" | "test:fail" }>;

/**
 * A reporter for `node --test`: a line for each file, every failing test whole, the reasons of those skipped, and as the
 * very last line `N passed, N failed` or `N passed, N failed, N skipped`.
 *
 * Tests are counted, not suites. A file that ends without any test, a suite whose hook failed and a run without a single
 * test count as failures.
 */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Map<string, FileResult>();
  const titles: string[] = [];
  let success = true;

  function resultOf(file: string): FileResult {
    const known = files.get(file);
    if (known !== undefined) return known;
    const fresh = { passed: 0, failed: [], skipped: [], output: "" };
    files.set(file, fresh);
    return fresh;
  }

  for await (const event of source) {
    switch (event.type) {
      case "test:start":
        titles.splice(event.data.nesting, titles.length, event.data.name);
        break;
      case "test:pass":
      case "test:fail": {
        const file = fileOf(event.data);
        const isFile = event.data.nesting === 0 && event.data.name === event.data.file;
        count(event, resultOf(file), [...titles.slice(0, event.data.nesting), event.data.name], isFile);
        if (isFile) yield* describeFile(file, resultOf(file), event.data.details.duration_ms);
        break;
      }
      case "test:stdout":
      case "test:stderr":
        resultOf(fileOf(event.data)).output += event.data.message;
        break;
      case "test:summary": {
        success &&= event.data.success;
        const { file } = event.data;
        if (file !== undefined) yield* describeFile(file, resultOf(file), event.data.duration_ms);
        break;
      }
      default:
    }
  }
  yield* summary([...files.values()], success);
}

/** The file that was run; a test may be defined in another one that it imports. */
function fileOf(data: { readonly file?: string | undefined; readonly entryFile?: string | undefined }): string {
  return data.entryFile ?? data.file ?? "?";
}

function count(event: Result, result: FileResult, titles: readonly string[], isFile: boolean): void {
  const { data } = event;
  const place = `${relative(process.cwd(), data.file ?? "?")}:${data.line ?? "?"}`;
  const title = isFile ? "the file itself" : titles.join(" › ");
  const isSuite = data.details.type === "suite";
  if (data.skip !== undefined && data.skip !== false) {
    const text = typeof data.skip === "string" && data.skip !== "" ? data.skip : "no reason given";
    if (!isSuite) result.skipped.push({ title, place, text });
  } else if (event.type === "test:fail") {
    // Those inside have been counted, each with its own error.
    if (!hasFailedInside(event.data.details.error)) {
      result.failed.push({ title, place, text: describeError(event.data.details.error) });
    }
  } else if (isFile) {
    result.failed.push({ title, place, text: "It has no test." });
  } else if (!isSuite) {
    result.passed += 1;
  }
}

function hasFailedInside(error: Error): boolean {
  return "failureType" in error && error.failureType === "subtestsFailed";
}

/** Node wraps what a test threw; the stack of what was thrown is what helps. */
function describeError(error: Error): string {
  const { cause } = error;
  if (typeof cause === "string") return "exitCode" in error ? `${cause}, exit code ${String(error.exitCode)}` : cause;
  const text = inspect(cause ?? error, { depth: 6, maxStringLength: 20_000 });
  return text
    .split("\n")
    .filter((line) => !/^\s+at .*\bnode:internal\//.test(line))
    .join("\n");
}

function* describeFile(file: string, result: FileResult, durationMilliseconds: number): Generator<string> {
  const { passed, failed, skipped } = result;
  const mark = failed.length > 0 ? "✖" : "✔";
  const counts = [`${passed} passed`];
  if (failed.length > 0) counts.push(`${failed.length} failed`);
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
  yield `${mark} ${relative(process.cwd(), file)}: ${counts.join(", ")} (${(durationMilliseconds / 1000).toFixed(1)} s)\n`;
  for (const { title, text } of skipped) yield `    skipped: ${title}: ${text}\n`;
  for (const { title, place, text } of failed) yield `\n  ✖ ${title}\n    ${place}\n${indent(text)}\n\n`;
  if (failed.length > 0 && result.output.trim() !== "") yield `  What the file printed:\n${indent(result.output)}\n\n`;
  result.output = "";
}

function* summary(results: readonly FileResult[], success: boolean): Generator<string> {
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const skipped = results.reduce((sum, result) => sum + result.skipped.length, 0);
  const failures = results.flatMap((result) => result.failed);
  if (failures.length > 0) {
    yield "\nFailed:\n";
    for (const { title, place } of failures) yield `  ${place} ${title}\n`;
  }
  let failed = failures.length;
  if (failed === 0 && (!success || passed === 0)) {
    failed = 1;
    yield passed === 0 ? "\nNo test ran.\n" : "\nThe test runner failed outside of any test.\n";
  }
  if (failed > 0) process.exitCode = 1;
  yield `\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}\n`;
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, "    ");
}
