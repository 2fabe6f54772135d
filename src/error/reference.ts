import { type Blame, errorCodes, type ErrorCode } from "./codes.ts";
import { remedies } from "./remedies.ts";

const blamed: Readonly<Record<Blame, string>> = {
  job: "The job's own fault: it fails, and the runner does not try it again.",
  site: "Not the job's fault: a system failure, which the runner may try again.",
  driver: "A defect of this program: a system failure.",
};

/** The reference page of all error codes, in Markdown. */
export function errorReference(): string {
  const codes = Object.keys(errorCodes).filter(isErrorCode).toSorted();
  return `# Errors

<!-- Written by scripts/write-reference.ts from src/error/. Do not edit. -->

Each failure has a code. It stands in the record of jobs ([record.md](record.md)) and stays the same, so that sites can search for
it. The job log shows a message that says what failed, on what, and what to do.

${codes.map(entry).join("\n\n")}
`;
}

function entry(code: ErrorCode): string {
  const { blame, means } = errorCodes[code];
  return `## \`${code}\`\n\n${means} ${blamed[blame]}\n\n**What to do:** ${remedies[code]}`;
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorCodes, code);
}
